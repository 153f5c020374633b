// However many wait for their ENIs, EC2 is asked for all of them together, and not more often for that.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { delaysWithAttach } from '../../bench/ec2/timing.ts'
import { RestedCluster } from '../../bench/ec2/rested-cluster.ts'

/** Between two looks at those who wait (eni-watch.ts). */
const tickMs = 250
const quota = { tokens: 1_000, perSecond: 1_000 }
const actions = ['CreateNetworkInterface', 'AttachNetworkInterface', 'ModifyNetworkInterfaceAttribute'] as const
/** An account in which all may wait for EC2 at the same time. */
const limits = { quotas: new Map(actions.map((action) => [action, quota])), concurrency: 1_000 }

// EC2 takes 200 values in a filter.
for (const pods of [20, 250])
  test(`${pods} ENIs that are being attached: one describe in a tick`, { timeout: 60_000 }, async () => {
    const attachMs = 20_000
    const cluster = await RestedCluster.start({ nodes: 40, ec2: { delays: delaysWithAttach(attachMs) }, limits })
    cluster.askForNew(pods)
    await cluster.untilAttached()
    const describes = cluster.calls.filter(({ action }) => action === 'DescribeNetworkInterfaces').map(({ at }) => at)
    for (const [i, at] of describes.entries()) {
      const next = describes[i + 1]
      if (next !== undefined) assert.ok(next - at >= tickMs, `two calls in ${next - at} ms`)
    }
    const looks = describes.length
    assert.ok(looks >= attachMs / 2_000 && looks <= attachMs / tickMs, `${describes.length} calls`)
    assert.deepEqual(cluster.end(), [])
  })
