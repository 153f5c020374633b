// What interfaces were like earlier, for Describe calls that lag behind: a snapshot after every change, with its time.

import { type NetworkInterface, snapshot } from './network-interface.ts'

interface Version {
  readonly from: number
  /** Undefined once it is deleted. */
  readonly eni: NetworkInterface | undefined
}

export class InterfaceHistory {
  /** In the order of creation. */
  readonly #versions = new Map<string, Version[]>()

  /** What is there now was always as it is. */
  constructor(present: Iterable<NetworkInterface>) {
    for (const eni of present) this.record(eni, -Infinity)
  }

  record(eni: NetworkInterface, now: number): void {
    this.#add(eni.eniId, { from: now, eni: snapshot(eni) })
  }

  recordDeletion(eniId: string, now: number): void {
    this.#add(eniId, { from: now, eni: undefined })
  }

  /** Interfaces of which it knows something. */
  get size(): number {
    return this.#versions.size
  }

  /** Each interface as it was at a time of its own. Forgets what was over before `oldest`, since nobody will ask for it again. */
  at(timeOfNext: () => number, oldest: number): NetworkInterface[] {
    const found: NetworkInterface[] = []
    for (const [eniId, versions] of this.#versions) {
      const kept = versions.findLastIndex(({ from }) => from <= oldest)
      if (kept > 0) versions.splice(0, kept)
      const time = timeOfNext()
      const version = versions.findLast(({ from }) => from <= time)
      if (version?.eni !== undefined) found.push(version.eni)
      else if (version !== undefined && versions.length === 1 && version.from <= oldest) this.#versions.delete(eniId)
    }
    return found
  }

  #add(eniId: string, version: Version): void {
    const versions = this.#versions.get(eniId)
    if (versions === undefined) this.#versions.set(eniId, [version])
    else versions.push(version)
  }
}
