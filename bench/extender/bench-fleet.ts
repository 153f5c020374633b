// The fleet that is measured: each node has one free ENI, and shows one device, so that the scheduler without an extender has the same
// choice. No kubelets: nobody writes but those who are measured, and the device plugins.
import { setTimeout as delay } from 'node:timers/promises'
import { type RunningFleet, startFleet } from '../../sim/fleet/start-fleet.ts'
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import { attachmentsPath } from '../../src/kube/resource.ts'

export const resource = 'intel.com/upf_dataplane'
export const nodeENI = { name: 'upf', resource }
export const namespace = 'bench'

const pageSize = 500
const pollMs = 500

export interface BenchFleet {
  readonly running: RunningFleet
  /** One for each node, in their order. */
  readonly enis: readonly string[]
}

export async function startBenchFleet(
  nodes: number,
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<BenchFleet> {
  const running = await startFleet({
    nodes,
    shape: { devices: { [resource]: 1 }, slots: 1 },
    kubelets: 'absent',
    code: 'dist',
    log,
    signal,
  })
  try {
    await addNamespace(running)
    await running.fleet.addNodeENI(nodeENI)
    const enis = await running.fleet.addENIs(nodeENI, running.fleet.nodes)
    log(`${enis.length} ENIs are there`)
    await rested(running, signal)
    return { running, enis }
  } catch (error) {
    await running.stop()
    throw error
  }
}

export async function addNamespace({ api }: Pick<RunningFleet, 'api'>): Promise<void> {
  const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }
  await api.request('POST', '/api/v1/namespaces', { body })
  // Pods are refused until it has its service account.
  const account = `/api/v1/namespaces/${namespace}/serviceaccounts/default`
  const isThere = () =>
    api.request('GET', account).then(
      () => true,
      () => false,
    )
  while (!(await isThere())) await delay(pollMs)
}

/** Deletes all pods, frees their claims, and waits until every ENI is free and offered again. */
export async function clear(running: RunningFleet, signal: AbortSignal): Promise<void> {
  await running.fleet.removePods(namespace)
  const claimed = (await allENIs(running)).filter(({ spec }) => spec.claim !== undefined)
  await running.fleet.freeClaims(claimed.map(({ metadata }) => metadata.name))
  await rested(running, signal)
}

async function rested(running: RunningFleet, signal: AbortSignal): Promise<void> {
  const isFree = ({ spec, status }: ENIAttachment) => {
    return spec.claim === undefined && status?.device?.advertised === true && status.device.acknowledged === undefined
  }
  while (!(await allENIs(running)).every(isFree)) await delay(pollMs, undefined, { signal })
}

async function allENIs({ api }: Pick<RunningFleet, 'api'>): Promise<ENIAttachment[]> {
  const found: ENIAttachment[] = []
  for (let next = ''; ;) {
    const query = { limit: pageSize, ...(next !== '' && { continue: next }) }
    const page = await api.request<{ items: ENIAttachment[]; metadata: { continue?: string } }>(
      'GET',
      attachmentsPath,
      { query },
    )
    found.push(...page.items)
    next = page.metadata.continue ?? ''
    if (next === '') return found
  }
}
