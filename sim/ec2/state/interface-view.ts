// The interfaces as one Describe call sees them: as they are, or each as it was a moment ago.

import type { NetworkInterface } from './network-interface.ts'

export class InterfaceView {
  readonly enis: readonly NetworkInterface[]
  #onInstances: Map<string, NetworkInterface[]> | undefined

  constructor(enis: readonly NetworkInterface[]) {
    this.enis = enis
  }

  on(instanceId: string): readonly NetworkInterface[] {
    this.#onInstances ??= Map.groupBy(this.enis, ({ attachment }) => attachment?.instanceId ?? '')
    return this.#onInstances.get(instanceId) ?? []
  }
}
