// The policy that we ship goes by tags, and IAM may get to know the tags of a new ENI later than we use it.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { shippedPolicy } from '../../sim/ec2/iam/shipped-policy.ts'
import type { Ec2, Ec2Options } from '../../sim/ec2/new-ec2.ts'
import type { Consistency } from '../../sim/ec2/state/consistency.ts'
import { attacherWorld } from './attacher-world.ts'
import { runStory } from './crash/run-story.ts'
import { stories } from './crash/stories.ts'
import { AccountInUse, minuteMs } from './lab/account-in-use.ts'

const account = { region: attacherWorld.region, accountId: '123456789012' }
const iam = { policies: [shippedPolicy(account, { cluster: 'test-cluster', vpcId: 'vpc-1' })] }
const lag = { newIdMs: [500, 8_000], listMs: [0, 3_000] } as const
const refused = (ec2: Ec2) => [...ec2.calls].filter(({ error }) => error === 'UnauthorizedOperation')

class LaggingAccount extends AccountInUse {
  constructor(consistency: Consistency) {
    super({ ec2: { iam, consistency } })
    this.addUpf()
    this.scene.changeNodeENI('upf', { sourceDestCheck: false })
    this.startAttacher()
  }

  /** Nothing was blocked, given up, or told to anybody. */
  assertQuiet(): void {
    assert.deepEqual(this.conditions(), { Ready: 'True', EC2Available: 'True', UpToDate: 'True' })
    assert.equal(this.made().length, this.intents, 'an ENI was made twice')
    assert.doesNotMatch(this.events('NodeENI', 'upf').join('\n'), /UnauthorizedOperation/)
  }
}

describe('under the shipped policy a pod gets its ENI, and gives it back', () => {
  const lags: Record<string, Consistency> = {
    'when EC2 lags': lag,
    'when IAM lags': { newIdMs: 0, listMs: 0, newTagsMs: 3_000 },
    'when both lag': { ...lag, newTagsMs: [500, 8_000] },
  }
  for (const [title, consistency] of Object.entries(lags))
    test(title, async () => {
      const lab = new LaggingAccount(consistency)
      lab.addPod('comes', 'a1')
      await lab.until(() => lab.isServed('comes'), minuteMs)
      assert.doesNotMatch(lab.events('Pod', 'comes').join('\n'), /UnauthorizedOperation/)
      await lab.assertAllWell()
      assert.equal(lab.intents, 1)
      lab.assertQuiet()
      await lab.assertLeavesNothing()
    })

  test('when IAM lags for so long that the pod hears of it', async () => {
    const lab = new LaggingAccount({ newIdMs: 0, listMs: 0, newTagsMs: 50_000 })
    lab.addPod('comes', 'a1')
    await lab.until(() => lab.isServed('comes'), 2 * minuteMs)
    assert.match(lab.events('Pod', 'comes').join('\n'), /UnauthorizedOperation.*network-interface\/eni-/)
    const asked = lab.callsSince(0, 'ModifyNetworkInterfaceAttribute').length
    assert.ok(asked < 40, `${asked} calls`)
    await lab.assertAllWell()
    assert.equal(lab.intents, 1)
    assert.equal(lab.made().length, 1)
    await lab.assertLeavesNothing()
  })

  test('when one part of EC2 knows the tags after another', async () => {
    const lab = new LaggingAccount({ newIdMs: 0, listMs: 0 })
    lab.scene.changeNodeENI('upf', { sourceDestCheck: true })
    const kind = { code: 'UnauthorizedOperation', status: 403 }
    lab.ec2.faults.add({ action: 'ModifyNetworkInterfaceAttribute', when: 'before', times: 2, kind })
    lab.addPod('comes', 'a1')
    await lab.assertAllWell()
    assert.equal(lab.intents, 1)
    lab.assertQuiet()
    assert.equal(lab.ec2.state.findEni(lab.made()[0]?.eniID ?? '')?.attachment?.deleteOnTermination, true)
  })

  test('when its pod ends before IAM knows the ENI', async () => {
    const lab = new LaggingAccount({ newIdMs: 0, listMs: 0, newTagsMs: 8_000 })
    lab.releaseIdle()
    lab.addPod('ends', 'a1')
    await lab.until(() => lab.made().length === 1)
    lab.endPod('ends')
    await lab.until(() => lab.ec2.state.findEni(lab.made()[0]?.eniID ?? '') === undefined, 2 * minuteMs)
    await lab.assertAllWell()
    lab.assertQuiet()
    await lab.assertLeavesNothing()
  })
})

describe('under the shipped policy every story of the crash exploration', () => {
  const tags = { 'kubernetes.io/cluster/test-cluster': 'owned' }
  const world = { ...attacherWorld, instances: attacherWorld.instances.map((one) => ({ ...one, tags })) }
  const underPolicy: Partial<Ec2Options> = { world, iam }

  for (const story of stories) {
    test(`${story.name}: is told without a call that EC2 refuses`, async () => {
      let told: Ec2 | undefined
      const tell: typeof story.tell = (tools) => {
        told = tools.ec2
        return story.tell(tools)
      }
      const { violations } = await runStory(
        { ...story, tell, ec2: { ...story.ec2, ...underPolicy } },
        { circumstance: 'lag', seed: 1 },
      )
      assert.deepEqual(violations, [])
      const calls = refused(told ?? assert.fail())
      // What somebody else has deleted has no tags by which the policy could allow its delete.
      const ofWhatHasGone =
        story.slug === 'deleted-by-hand' ? calls.filter(({ action }) => action.startsWith('Delete')) : []
      assert.deepEqual(calls, ofWhatHasGone)
    })

    test(`${story.name}: ends well when IAM lags too`, async () => {
      const consistency = { ...lag, newTagsMs: [500, 8_000] as const }
      const ec2 = { ...story.ec2, ...underPolicy, consistency }
      const { violations } = await runStory({ ...story, ec2 }, { circumstance: 'lag', seed: 1 })
      assert.deepEqual(violations, [])
    })
  }
})
