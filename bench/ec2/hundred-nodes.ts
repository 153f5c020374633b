// One pod on each of 100 nodes at once, in an account whose quotas are no limit: what is left is EC2's own delays, and the attacher.
import { RestedCluster } from './rested-cluster.ts'
import { delaysWithAttach } from './timing.ts'
import { type Tally, tally } from './tally.ts'

const nodes = 100
const plenty = { tokens: 1000, perSecond: 100 }
const quotas = new Map([
  ['CreateNetworkInterface', plenty],
  ['AttachNetworkInterface', plenty],
  ['ModifyNetworkInterfaceAttribute', plenty],
] as const)

export interface HundredNodesResult {
  readonly boundSeconds: number
  /** Until all is done that the attacher does for a new ENI. */
  readonly attachedSeconds: number
  readonly calls: Tally
  readonly violations: readonly string[]
}

export async function measureHundredNodes(): Promise<HundredNodesResult> {
  const cluster = await RestedCluster.start({ nodes, limits: { quotas }, ec2: { delays: delaysWithAttach(0) } })
  cluster.askForNew(nodes)
  const boundSeconds = await cluster.untilBound()
  const attachedSeconds = boundSeconds + (await cluster.untilAttached())
  const calls = tally(cluster.calls)
  return { boundSeconds, attachedSeconds, calls, violations: cluster.end() }
}
