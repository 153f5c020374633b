// Names of objects by something that the objects have: thousands of nodes and pods each ask for theirs.

export class NameIndex<T> {
  readonly #keyOf: (object: T) => string | undefined
  readonly #names = new Map<string, Set<string>>()

  constructor(keyOf: (object: T) => string | undefined) {
    this.#keyOf = keyOf
  }

  changed(name: string, after: T | undefined, before: T | undefined): void {
    const [keyBefore, keyAfter] = [before && this.#keyOf(before), after && this.#keyOf(after)]
    if (keyBefore === keyAfter) return
    if (keyBefore !== undefined) this.#remove(keyBefore, name)
    if (keyAfter !== undefined) this.#names.set(keyAfter, (this.#names.get(keyAfter) ?? new Set()).add(name))
  }

  names(key: string): string[] {
    return [...(this.#names.get(key) ?? [])]
  }

  #remove(key: string, name: string): void {
    const names = this.#names.get(key)
    names?.delete(name)
    if (names?.size === 0) this.#names.delete(key)
  }
}
