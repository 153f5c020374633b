// prioritize: a free device first; then the nodes with most ENI slots left, so that attaches spread.
import type { Demand } from '../api/pod-demand.ts'
import type { Ledger } from './ledger.ts'
import { checkNode } from './node-check.ts'
import type { HostPriority } from './protocol.ts'

const bestScore = 10
/** Below the best by two, so that no number of free slots outweighs a device that is there. */
const bestAttachScore = 8

export function prioritize(
  ledger: Ledger,
  podUID: string,
  demand: Demand,
  nodeNames: readonly string[],
): HostPriority[] {
  return nodeNames.map((Host) => ({ Host, Score: score(ledger, podUID, demand, Host) }))
}

function score(ledger: Ledger, podUID: string, demand: Demand, nodeName: string): number {
  const verdict = checkNode(ledger, nodeName, demand, podUID)
  if (!verdict.fits) return 0
  if (verdict.plans.every(({ attach }) => attach.length === 0)) return bestScore
  return Math.min(bestAttachScore, verdict.slotsLeft)
}
