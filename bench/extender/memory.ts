// Memory of an extender that watches 5,000 nodes of real size, 20,000 pods and 10,000 ENIAttachments, and how soon it is ready beside
// them: from its start to the moment at which its caches have synced.
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

import { atOnce } from '../../sim/fleet/at-once.ts'
import { memoryOf } from '../memory/process-memory.ts'
import { type BenchFleet, namespace, nodeENI } from './bench-fleet.ts'
import { ExtenderStatus } from './extender-status.ts'

const settleMs = 15_000
const lanes = 32
const podBytes = 6_000

export interface MemoryPlan {
  readonly pods: number
}

export interface MemoryUse {
  readonly readySeconds: number
  readonly rssMB: number
  /** The most that it ever had (VmHWM). */
  readonly peakMB: number
}

export async function measureMemory({ running }: BenchFleet, { pods }: MemoryPlan): Promise<MemoryUse> {
  const { fleet } = running
  await fleet.addENIs(nodeENI, fleet.nodes, 2)
  await addOrdinaryPods(running, pods)
  const status = await ExtenderStatus.onFreePort()
  const startedAt = performance.now()
  const starting = running.startExtender(status.env)
  await status.ready()
  const readySeconds = (performance.now() - startedAt) / 1000
  const { program } = await starting
  await delay(settleMs)
  const pid = program.pid
  if (pid === undefined) throw new Error('the extender has ended')
  const { rssMB } = memoryOf(pid)
  const peakMB = peakOf(pid)
  await program.stop()
  return { readySeconds, rssMB, peakMB }
}

/** On nodes already, and none of ours: what most pods of a cluster are. */
async function addOrdinaryPods({ fleet, api }: BenchFleet['running'], count: number): Promise<void> {
  const filler = 'x'.repeat(podBytes / 20)
  const env = Array.from({ length: 18 }, (_, n) => ({ name: `SETTING_${n}`, value: filler }))
  const containers = [{ name: 'app', image: 'registry.example/app:1', env }]
  await atOnce(lanes, Array.from({ length: count }).keys(), (n) => {
    const nodeName = fleet.nodes[n % fleet.nodes.length]?.name
    const metadata = { name: `ordinary-${n}`, namespace, labels: { app: `app-${n % 500}` } }
    const body = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { nodeName, containers } }
    return api.request('POST', `/api/v1/namespaces/${namespace}/pods`, { body })
  })
}

function peakOf(pid: number): number {
  const kilobytes = /^VmHWM:\s+([0-9]+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kilobytes) / 1024
}

export function memoryKeys({ readySeconds, rssMB, peakMB }: MemoryUse): Readonly<Record<string, number>> {
  return { rss_mb: rssMB, rss_peak_mb: peakMB, ready_seconds: readySeconds }
}
