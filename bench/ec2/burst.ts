// Pods that ask at once, on 200 nodes with EC2's default token buckets: first for new ENIs, then for those that the first pods have
// left. At the end, if that is wanted, an hour in which nothing happens.
import { type Burst, limitSeconds } from './limit.ts'
import { RestedCluster } from './rested-cluster.ts'
import { type Tally, tally } from './tally.ts'

const nodes = 200
/** Two surveys of all ENIs: what still had to be changed on an ENI that is taken over would have been changed. */
const afterReuseMs = 5 * 60_000
const settleMs = 10 * 60_000
const hourMs = 3_600_000

export interface BurstResult extends Burst {
  readonly seconds: number
  readonly limit: number
  /** Until the attacher has done all that it does for a new ENI; the pods run already. */
  readonly attachedSeconds: number
  readonly calls: Tally
  readonly reuse: { readonly seconds: number; readonly calls: Tally }
  readonly idleHour: Tally | undefined
  readonly violations: readonly string[]
}

export interface BurstScenario extends Burst {
  readonly thenIdle: boolean
}

export async function measureBurst({ thenIdle, ...burst }: BurstScenario): Promise<BurstResult> {
  const { pods, sourceDestCheck } = burst
  const cluster = await RestedCluster.start({ nodes, ec2: { throttling: { scale: 1 } }, nodeENI: { sourceDestCheck } })
  const { clock } = cluster.lab
  cluster.askForNew(pods)
  const seconds = await cluster.untilBound()
  const attachedSeconds = seconds + (await cluster.untilAttached())
  const calls = tally(cluster.calls)

  await cluster.endPods()
  cluster.askForIdle()
  const reuseSeconds = await cluster.untilBound()
  await clock.advance(afterReuseMs)
  const reuse = { seconds: reuseSeconds, calls: tally(cluster.calls) }

  const idleHour = thenIdle ? await measureIdle(cluster) : undefined
  return {
    ...burst,
    seconds,
    limit: limitSeconds(burst),
    attachedSeconds,
    calls,
    reuse,
    idleHour,
    violations: cluster.end(),
  }
}

async function measureIdle({ lab }: RestedCluster): Promise<Tally> {
  await lab.clock.advance(settleMs)
  lab.ec2.calls.clear()
  await lab.clock.advance(hourMs)
  return tally([...lab.ec2.calls])
}
