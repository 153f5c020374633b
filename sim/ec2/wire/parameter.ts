// The parameters of one call, as the tree that their dotted names spell: Filter.1.Value.2 is parameter Filter, item 1, child
// Value, item 2. Remembers what was read, so that an action refuses what it does not know instead of ignoring it.

import { refusals } from '../state/refusals.ts'

export class Parameter {
  readonly path: string
  readonly #children = new Map<string, Parameter>()
  #text: string | undefined
  #read = false

  constructor(path = '') {
    this.path = path
  }

  static parse(form: URLSearchParams): Parameter {
    const root = new Parameter()
    for (const [name, value] of form) {
      let node = root
      for (const step of name.split('.')) node = node.#descend(step)
      node.#text = value
    }
    return root
  }

  /** A parameter that was not sent is there too, and is empty. */
  at(name: string): Parameter {
    return this.#children.get(name) ?? new Parameter(this.#pathOf(name))
  }

  get sent(): boolean {
    return this.#text !== undefined || this.#children.size > 0
  }

  text(): string | undefined {
    this.#read = true
    return this.#text
  }

  requiredText(): string {
    const text = this.text()
    if (text === undefined || text === '') throw refusals.missing(this.path)
    return text
  }

  integer(): number | undefined {
    const text = this.text()
    if (text === undefined) return undefined
    if (!/^-?\d{1,9}$/.test(text)) throw refusals.badValue(text, this.path, 'Expecting an integer.')
    return Number(text)
  }

  requiredInteger(): number {
    const number = this.integer()
    if (number === undefined) throw refusals.missing(this.path)
    return number
  }

  boolean(): boolean | undefined {
    const text = this.text()
    if (text === undefined) return undefined
    if (text !== 'true' && text !== 'false') throw refusals.badValue(text, this.path, 'Expecting true or false.')
    return text === 'true'
  }

  /** The list's members in the order of their numbers. */
  items(): Parameter[] {
    return [...this.#children]
      .filter(([name]) => /^\d+$/.test(name))
      .toSorted(([a], [b]) => Number(a) - Number(b))
      .map(([, item]) => item)
  }

  texts(): string[] {
    return this.items().map((item) => item.requiredText())
  }

  /** Paths that were sent and never read. */
  unread(): string[] {
    const own = this.#text !== undefined && !this.#read ? [this.path] : []
    return [...own, ...[...this.#children.values()].flatMap((child) => child.unread())]
  }

  #descend(step: string): Parameter {
    const child = this.#children.get(step) ?? new Parameter(this.#pathOf(step))
    this.#children.set(step, child)
    return child
  }

  #pathOf(step: string): string {
    return this.path === '' ? step : `${this.path}.${step}`
  }
}
