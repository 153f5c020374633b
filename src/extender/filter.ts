// filter: which of the asked nodes can have the pod's devices, and in one constant line each why the others cannot.
// Shortages go to FailedAndUnresolvableNodes: an ENI is never had by evicting pods (preempt.ts).
import type { Demand } from '../api/pod-demand.ts'
import type { Ledger } from './ledger.ts'
import { isUsable } from './node-account.ts'
import { checkNode, refusals } from './node-check.ts'
import type { FilterResult } from './protocol.ts'

export function filter(ledger: Ledger, podUID: string, demand: Demand, nodeNames: readonly string[]): FilterResult {
  const claimedNode = claimedAmong(ledger, podUID, demand, nodeNames)
  const passed: string[] = []
  const failed: Record<string, string> = {}
  for (const nodeName of nodeNames) {
    if (claimedNode !== undefined && claimedNode !== nodeName) {
      failed[nodeName] = refusals.claimedElsewhere
      continue
    }
    const verdict = checkNode(ledger, nodeName, demand, podUID)
    if (verdict.fits) passed.push(nodeName)
    else failed[nodeName] = verdict.refusal
  }
  return { NodeNames: passed, FailedAndUnresolvableNodes: failed, Error: '' }
}

/**
 * The node of the pod's live claim, while it is asked about and still has all that the pod needs; else any node may serve, and
 * bind frees the claim.
 */
function claimedAmong(
  ledger: Ledger,
  podUID: string,
  demand: Demand,
  nodeNames: readonly string[],
): string | undefined {
  const live = ledger.claimsOf(podUID).filter((claim) => isUsable(claim) && ledger.isOnItsInstance(claim))
  const claimed = new Set(live.map(({ spec }) => spec.nodeName))
  if (claimed.size === 0) return undefined
  return nodeNames.find((name) => claimed.has(name) && checkNode(ledger, name, demand, podUID).fits)
}
