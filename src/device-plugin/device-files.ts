// The files that go with our devices: CDI specs for the container runtime, device-info files for Multus, records of what Allocate
// has named. Written before the kubelet hears of a device, or of its hand-out, and removed when nobody can need them any more.
import { isDeepStrictEqual } from 'node:util'

import type { Log } from '../process/log.ts'
import type { AllocationRecords } from './allocation-record.ts'
import type { AllocateGate } from './allocate-gate.ts'
import type { CdiSpecs, DescribedDevice } from './cdi-specs.ts'
import type { DeviceInfoFiles } from './device-info.ts'
import type { DeviceLists } from './device-lists.ts'
import { deviceNodesOf } from './device-nodes.ts'
import { type DeviceKey, deviceKey, type Occupancy } from './occupancy.ts'
import type { PciCard } from './pci-scan.ts'

export interface DeviceFilesOptions {
  readonly specs: CdiSpecs
  readonly infos: DeviceInfoFiles
  readonly records: AllocationRecords
  readonly lists: DeviceLists
  readonly occupancy: Occupancy
  readonly gate: AllocateGate
  readonly injection: 'cdi' | 'device-nodes'
  /** The host's /dev. */
  readonly dev: string
  readonly log: Log
}

export class DeviceFiles {
  readonly #options: DeviceFilesOptions

  constructor(options: DeviceFilesOptions) {
    this.#options = options
  }

  /** A container that starts with this device gets this card's nodes. */
  isDescribed(resource: string, card: PciCard): boolean {
    const { injection, specs } = this.#options
    return injection === 'device-nodes' || specs.has(this.#description(resource, card))
  }

  /** Resolves when `isDescribed` is true; rejects with why it cannot be. */
  describe(resource: string, card: PciCard): Promise<void> {
    return this.#options.specs.put(this.#description(resource, card))
  }

  /** Before Allocate is answered. Returns why it must not be. */
  async handOver(resource: string, deviceIDs: readonly string[]): Promise<string | undefined> {
    const { infos, injection, log } = this.#options
    if (injection === 'device-nodes') {
      const reason = await this.#record(resource, deviceIDs)
      if (reason !== undefined) return reason
    }
    for (const deviceID of deviceIDs) {
      try {
        await infos.write(resource, deviceID)
      } catch (error) {
        // Multus goes on without the file, and then a pod's network-status has no device-info; a refusal here would end the pod
        // for good (UnexpectedAdmissionError), also one that has no Multus at all.
        log.error(
          { resource, pciAddress: deviceID, err: error },
          'device-info file not written; network-status will lack it',
        )
      }
    }
    return undefined
  }

  /**
   * A description that is not true any more goes at once, whoever has the device: by it a container would get the node of another
   * card. All else goes when nobody needs it. `expected`: devices that are offered, or may soon be.
   */
  tidy(cards: readonly PciCard[], expected: ReadonlySet<DeviceKey>): void {
    const { specs, infos, records, lists, occupancy, gate, dev } = this.#options
    const byAddress = new Map(cards.map((card) => [card.pciAddress, card]))
    const isNeeded = ({ resource, deviceID }: DescribedDevice) => {
      const key = deviceKey(resource, deviceID)
      return expected.has(key) || lists.get(resource, deviceID) !== undefined || !occupancy.isFree(key)
    }
    void specs.retain((device) => {
      const card = byAddress.get(device.deviceID)
      return card !== undefined && isDeepStrictEqual(deviceNodesOf(card, dev), device.nodes) && isNeeded(device)
    })
    // During an Allocate its files are there already and its device is not handed out yet.
    if (gate.isOpen) return
    void infos.removeFree((key) => occupancy.isFree(key))
    void records.removeFree((key) => occupancy.isFree(key))
  }

  /** Without the record nothing could tell later whether the nodes in the answer are still those of the card. */
  async #record(resource: string, deviceIDs: readonly string[]): Promise<string | undefined> {
    const { records, lists, dev } = this.#options
    for (const deviceID of deviceIDs) {
      const device = lists.get(resource, deviceID)
      try {
        if (device !== undefined) await records.write(resource, deviceID, deviceNodesOf(device.card, dev))
      } catch (error) {
        return `${resource}: the allocation of ${deviceID} is not on record: ${String(error)}`
      }
    }
    return undefined
  }

  #description(resource: string, card: PciCard): DescribedDevice {
    return { resource, deviceID: card.pciAddress, nodes: deviceNodesOf(card, this.#options.dev) }
  }
}
