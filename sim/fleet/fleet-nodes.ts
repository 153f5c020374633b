// The nodes of the fleet as its stand-ins see them, and how those behave there.
import type { NodeFacts } from '../../src/kube/objects.ts'

export class FleetNodes {
  readonly #nodes = new Map<string, NodeFacts>()
  readonly #silent = new Set<string>()
  readonly #listeners: ((nodeName: string) => void)[] = []

  /** Called when a node has come or gone, has registered a resource, or is silent no more. */
  onChange(listener: (nodeName: string) => void): void {
    this.#listeners.push(listener)
  }

  set(name: string, node: NodeFacts | undefined): void {
    const before = this.#nodes.get(name)
    if (node === undefined) this.#nodes.delete(name)
    else this.#nodes.set(name, node)
    const isSame =
      node?.instanceID === before?.instanceID &&
      node?.registered.size === before?.registered.size &&
      [...(node?.registered ?? [])].every((resource) => before?.registered.has(resource) === true)
    if (!isSame || (node === undefined) !== (before === undefined)) this.#tell(name)
  }

  get(name: string): NodeFacts | undefined {
    return this.#nodes.get(name)
  }

  /** The device plugin of the node is dead: it writes nothing, and what it has written stays. */
  silence(name: string): void {
    this.#silent.add(name)
  }

  revive(name: string): void {
    if (this.#silent.delete(name)) this.#tell(name)
  }

  isSilent(name: string): boolean {
    return this.#silent.has(name)
  }

  #tell(name: string): void {
    for (const listener of this.#listeners) listener(name)
  }
}
