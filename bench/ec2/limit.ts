// The time that EC2 itself sets, for an account that nobody else uses and a client that loses not a moment: its token buckets (EC2
// developer guide, "Request throttling for the Amazon EC2 API"; an action that is not listed there is a "mutating action"), and its
// own delays on the way of one ENI until its card is on the node. What a client describes before it makes an ENI is its own loss.
import { attachMs, changeMs } from './timing.ts'

const create = { tokens: 100, perSecond: 5 }
const modify = { tokens: 100, perSecond: 5 }
const attach = { tokens: 50, perSecond: 5 }

export interface Burst {
  readonly pods: number
  /** false takes a modify before the attach; that ENIs go with their instance is set when the pod runs already. */
  readonly sourceDestCheck: boolean
  /** Of the buckets, what there is. */
  readonly scale?: number
}

export function limitSeconds({ pods, sourceDestCheck, scale = 1 }: Burst): number {
  const onTheWay = sourceDestCheck ? [create, attach] : [create, modify, attach]
  const queueing = onTheWay.map(({ tokens, perSecond }) => (pods - tokens * scale) / (perSecond * scale))
  // The attach call's own answer is not waited for: its card comes.
  const answersMs = (onTheWay.length - 1) * changeMs
  return Math.max(0, ...queueing) + (answersMs + attachMs) / 1000
}
