// Whether a container may start with the devices that its pod was given (PreStartContainer). By a CDI name it gets the right nodes or
// does not start; by the nodes of a replayed answer it would run on whichever card has that number now, so these are compared.
import type { AllocationRecords } from './allocation-record.ts'
import type { DeviceLists } from './device-lists.ts'
import { type DeviceNode, deviceNodesOf } from './device-nodes.ts'

export interface ContainerStartsOptions {
  readonly injection: 'cdi' | 'device-nodes'
  /** The host's /dev. */
  readonly dev: string
  readonly lists: DeviceLists
  readonly records: AllocationRecords
}

export class ContainerStarts {
  readonly #options: ContainerStartsOptions

  constructor(options: ContainerStartsOptions) {
    this.#options = options
  }

  /** Pods that were admitted before the setting was changed to cdi still have their nodes by number. */
  get checks(): boolean {
    const { injection, records } = this.#options
    return injection === 'device-nodes' || records.areThere
  }

  /** One line with what is wrong, what the pod has and what would be right. */
  whyNot(resource: string, deviceIDs: readonly string[]): string | undefined {
    return deviceIDs.map((id) => this.#whyNot(resource, id)).find((reason) => reason !== undefined)
  }

  #whyNot(resource: string, id: string): string | undefined {
    const { injection, lists, records, dev } = this.#options
    const given = records.nodesOf(resource, id)
    if (given === undefined) {
      if (injection === 'cdi') return undefined
      return `${resource}: which device node the pod was given for ${id} is not on record; delete the pod, so that another takes its place`
    }
    const device = lists.get(resource, id)
    if (device === undefined) return `${resource}: ${id} is not a device of this plugin now, or not yet`
    const present = deviceNodesOf(device.card, dev)
    const stale = given.find(
      (node) => !present.some((is) => is.hostPath === node.hostPath && is.containerPath === node.containerPath),
    )
    if (stale === undefined && given.length === present.length) return undefined
    return (
      `${resource}: the pod was given ${namesOf(given)} for ${id}, which is ${namesOf(present)} since the card was bound anew; ` +
      'delete the pod, so that another takes its place'
    )
  }
}

function namesOf(nodes: readonly DeviceNode[]): string {
  return nodes.at(-1)?.hostPath ?? 'without a device node'
}
