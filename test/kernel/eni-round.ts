// The life of one ENI on a guest, taken with a stopwatch: a pod comes, runs, goes, and all of it is undone. Times of the guest are put
// on this machine's clock.
import { podPath } from '../../src/kube/resource.ts'
import { BindingTimes } from '../../sim/cluster/binding-times.ts'
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import type { Scenario } from '../cluster/scenario.ts'
import { upfPod } from '../cluster/upf-manifests.ts'
import type { CardEvent, CardHistory } from './card-history.ts'
import { clockOffset } from './guest-clock.ts'

export interface ENIRound {
  readonly pciAddress: string
  /** What the guest's kernel told of the card. */
  readonly history: readonly CardEvent[]
  /** Milliseconds of each step after the one before. */
  readonly attach: Readonly<Record<string, number>>
  /** Milliseconds since the pod was deleted: not all follow each other. */
  readonly release: Readonly<Record<string, number>>
  /** Times of the guest may be so far off beside those of this machine. */
  readonly clockErrorMs: number
}

export interface ENIRoundOptions {
  readonly node: GuestNode
  readonly history: CardHistory
  /** Of the pod; not used before. */
  readonly podName: string
  readonly nodeENI: string
}

/** The node has no device when it begins, and none when it ends. */
export async function eniRound(scenario: Scenario, options: ENIRoundOptions): Promise<ENIRound> {
  const { node, podName, nodeENI } = options
  const { api } = scenario.observer
  const bindings = new BindingTimes(scenario.installation.cluster.auditLog)
  await options.history.clear()

  const created = Date.now()
  await api.request('POST', '/api/v1/namespaces/default/pods', { body: upfPod(podName) })
  await scenario.running(podName)
  const running = Date.now()
  const attachment = scenario.claimOf(podName)
  const { eni, device } = attachment?.status ?? {}
  const pciAddress = device?.pciAddress ?? ''
  const plugged = node.cards.pluggedAt(eni?.mac ?? '')
  const binding = await bindings.receivedAt('default', podName)

  const deleted = Date.now()
  await api.request('DELETE', podPath('default', podName))
  await scenario.until(`pod ${podName} gone`, () => scenario.pod(podName) === undefined)
  const podGone = Date.now()
  await scenario.until('its ENI gone', () => scenario.attachmentsOf(nodeENI).length === 0)
  const eniGone = Date.now()
  await scenario.nodeShows(node.name, 0)
  const noResource = Date.now()

  const history = await options.history.of(pciAddress)
  const clock = await clockOffset(node.guest)
  const inGuest = (time: string | undefined) => Date.parse(time ?? '') - clock.ms
  const kernel = (is: (event: CardEvent) => boolean) => {
    return clock.bootedAt + (history.findLast(is)?.uptime ?? Number.NaN) * 1000 - clock.ms
  }
  return {
    pciAddress,
    history,
    clockErrorMs: clock.errorMs,
    attach: afterEachOther(created, {
      'pod created -> card plugged': plugged,
      '-> in the kernel': kernel(({ action }) => action === 'add'),
      '-> seen': inGuest(device?.seenTime),
      '-> bound to vfio-pci': inGuest(device?.boundTime),
      '-> advertised': inGuest(device?.advertisedTime),
      '-> acknowledged': inGuest(device?.acknowledgedTime),
      '-> Binding': binding,
      '-> Running': running,
    }),
    release: since(deleted, {
      'pod gone': podGone,
      'kernel driver restored': kernel(({ action, driver }) => action === 'bind' && driver !== 'vfio-pci'),
      'card unplugged': kernel(({ action }) => action === 'remove'),
      'ENI gone': eniGone,
      'resource 0 on the node': noResource,
    }),
  }
}

function since(start: number, moments: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(moments).map(([name, at]) => [name, at - start]))
}

function afterEachOther(start: number, moments: Readonly<Record<string, number>>): Record<string, number> {
  const at = [start, ...Object.values(moments)]
  return Object.fromEntries(
    Object.keys(moments).map((name, index) => [name, (at[index + 1] ?? NaN) - (at[index] ?? NaN)]),
  )
}
