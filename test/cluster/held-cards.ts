// What a restart must leave alone for a pod that holds a device: its container, the kubelet's word, the journal, the card's sysfs files.
import type { V1Pod } from '@kubernetes/client-node'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { podPath } from '../../src/kube/resource.ts'
import { heldDevices } from './kubelet-devices.ts'
import type { HeldDevice } from './picture.ts'
import type { Scenario } from './scenario.ts'

export interface Holding {
  readonly container: { readonly id: string | undefined; readonly restarts: number | undefined }
  readonly devices: readonly HeldDevice[]
}

export async function holdingOf(scenario: Scenario, podName: string): Promise<Holding> {
  const pod = await scenario.observer.api.request<V1Pod>('GET', podPath('default', podName))
  const status = pod.status?.containerStatuses?.[0]
  const node = scenario.installation.nodes.find(({ name }) => name === pod.spec?.nodeName)
  const devices = node === undefined ? [] : await heldDevices(node.name, node.podResourcesSocket)
  return {
    container: { id: status?.containerID, restarts: status?.restartCount },
    // The kubelet lists them in any order.
    devices: devices
      .filter((device) => device.pod === `default/${podName}`)
      .toSorted((a, b) => a.pciAddress.localeCompare(b.pciAddress)),
  }
}

/** Every file of the node's journal with its text and the time of its last write: an entry that was written anew shows. */
export function journalOf(scenario: Scenario, nodeName: string): Readonly<Record<string, string>> {
  const directory = path.join(scenario.installation.stateDir(nodeName), 'cards')
  return stamped(readdirSync(directory).map((name) => path.join(directory, name)))
}

/** The file through which a card is steered to a driver. */
export function overridesOf(scenario: Scenario, nodeName: string): Readonly<Record<string, string>> {
  const bus = scenario.installation.bus(nodeName)
  const directory = path.join(bus.root, 'sys/bus/pci/devices')
  return stamped(bus.cards().map(({ bdf }) => path.join(directory, bdf, 'driver_override')))
}

function stamped(files: readonly string[]): Readonly<Record<string, string>> {
  const stamp = (file: string) => `${statSync(file, { bigint: true }).mtimeNs} ${readFileSync(file, 'utf8')}`
  return Object.fromEntries(files.map((file) => [file, stamp(file)]))
}
