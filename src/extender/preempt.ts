// preempt: keeps the candidate nodes that filter would pass, victims unchanged. Without it, a pod short of CPU would evict
// victims on a node that cannot have its ENI. ENIs themselves are never preempted.
import type { Demand } from '../api/pod-demand.ts'
import { filter } from './filter.ts'
import type { Ledger } from './ledger.ts'
import type { PreemptionArgs, PreemptionResult } from './protocol.ts'

export function preempt(
  ledger: Ledger,
  podUID: string,
  demand: Demand,
  victims: NonNullable<PreemptionArgs['NodeNameToMetaVictims']>,
): PreemptionResult {
  const { NodeNames } = filter(ledger, podUID, demand, Object.keys(victims))
  const passed = new Set(NodeNames)
  return {
    NodeNameToMetaVictims: Object.fromEntries(Object.entries(victims).filter(([nodeName]) => passed.has(nodeName))),
  }
}
