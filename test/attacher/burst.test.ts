// Pods that ask at once wait for what EC2 allows, and for nothing else; pods that have what they asked for cost EC2 nothing. On
// virtual time. `make bench-ec2` is the same at full size.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { limitSeconds } from '../../bench/ec2/limit.ts'
import { RestedCluster } from '../../bench/ec2/rested-cluster.ts'
import { tally } from '../../bench/ec2/tally.ts'

const options = { timeout: 30_000 }
const pods = 20
/** Of EC2's token buckets: five attaches at once, then one in two seconds. */
const scale = 0.1

for (const sourceDestCheck of [true, false]) {
  test(`20 pods at once, sourceDestCheck ${sourceDestCheck}, are bound as soon as EC2 allows`, options, async () => {
    const ec2 = { throttling: { scale } }
    const cluster = await RestedCluster.start({ nodes: 5, ec2, limits: { share: scale }, nodeENI: { sourceDestCheck } })
    cluster.askForNew(pods)
    const seconds = await cluster.untilBound()
    const limit = limitSeconds({ pods, sourceDestCheck, scale })
    assert.ok(seconds <= limit * 1.1, `${seconds} s, and EC2 allows ${limit} s`)
    await cluster.untilAttached()
    assert.equal(tally(cluster.calls).throttled, 0)
    assert.deepEqual(cluster.end(), [])
  })
}

test('pods that take idle ENIs, and a quarter of an hour at rest, change nothing in EC2', options, async () => {
  const cluster = await RestedCluster.start({ nodes: 5, ec2: {} })
  cluster.askForNew(pods)
  await cluster.untilBound()
  await cluster.untilAttached()
  await cluster.endPods()
  cluster.askForIdle()
  await cluster.untilBound()
  await cluster.lab.clock.advance(15 * 60_000)
  const { changes, describes } = tally(cluster.calls)
  assert.equal(changes, 0)
  assert.ok(describes <= 15, `${describes} describes in a quarter of an hour`)
  assert.deepEqual(cluster.end(), [])
})
