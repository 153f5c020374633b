// The policy that we ship lacks one right for an hour: who waits hears which, on what; what works is not touched; and when the right
// is given everything is done, without a restart.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { shippedPolicy } from '../../sim/ec2/iam/shipped-policy.ts'
import { AccountInUse, hourMs, minuteMs } from './lab/account-in-use.ts'

interface PolicyDocument {
  readonly Statement: readonly { readonly Sid: string; readonly Action: string | string[] }[]
}

/** The shipped policy, without what a test takes from it. */
class Rights {
  readonly lab = new AccountInUse()
  readonly #all: PolicyDocument

  constructor() {
    const { state } = this.lab.ec2
    this.#all = shippedPolicy(state, { cluster: 'test-cluster', vpcId: 'vpc-1' }) as PolicyDocument
    this.give()
  }

  give(): void {
    this.lab.ec2.iam.setPolicies([this.#all])
  }

  takeAction(action: string): void {
    const left = this.#all.Statement.map((one) => ({
      ...one,
      Action: [one.Action].flat().filter((name) => name !== `ec2:${action}`),
    }))
    this.lab.ec2.iam.setPolicies([{ ...this.#all, Statement: left.filter(({ Action }) => Action.length > 0) }])
  }

  takeStatement(sid: string): void {
    const left = this.#all.Statement.filter(({ Sid }) => Sid !== sid)
    assert.equal(left.length, this.#all.Statement.length - 1, sid)
    this.lab.ec2.iam.setPolicies([{ ...this.#all, Statement: left }])
  }
}

const arn = 'arn:aws:ec2:eu-north-1:123456789012'
const refusal = (action: string, resource?: string) =>
  `is not authorized to perform: ec2:${action}${resource === undefined ? ' ' : ` on resource: ${arn}:${resource}`}`

describe('a right is missing for an hour', () => {
  /** Told by a condition of the NodeENI, within half an hour: an idle ENI is due after twenty minutes. */
  const told: Readonly<Record<string, string>> = {
    DescribeNetworkInterfaces: refusal('DescribeNetworkInterfaces'),
    DescribeInstances: refusal('DescribeInstances'),
    DescribeSubnets: refusal('DescribeSubnets'),
    DescribeSecurityGroups: refusal('DescribeSecurityGroups'),
    CreateNetworkInterface: refusal('CreateNetworkInterface', 'network-interface/*'),
    CreateTags: refusal('CreateTags', 'network-interface/*'),
    AttachNetworkInterface: refusal('AttachNetworkInterface', 'network-interface/eni-'),
    ModifyNetworkInterfaceAttribute: refusal('ModifyNetworkInterfaceAttribute', 'network-interface/eni-'),
    DetachNetworkInterface: refusal('DetachNetworkInterface', 'network-interface/eni-'),
    DeleteNetworkInterface: refusal('DeleteNetworkInterface', 'network-interface/eni-'),
  }

  for (const [action, says] of Object.entries(told))
    test(action, async () => {
      const rights = new Rights()
      const { lab } = rights
      await lab.start()
      rights.takeAction(action)
      const beganAtMs = lab.clock.now()
      lab.addPod('comes', 'a2')
      const conditions = () => (lab.nodeENI.status?.conditions ?? []).filter(({ status }) => status === 'False')
      await lab.until(() => conditions().some(({ message }) => message.includes(says)), hourMs / 2)
      await lab.clock.advance(beganAtMs + hourMs - lab.clock.now())
      lab.assertHeldUntouched()
      for (const pod of ['held-1', 'held-2'])
        assert.doesNotMatch(lab.events('Pod', pod).join('\n'), /UnauthorizedOperation/, 'what works is not blamed')
      rights.give()
      await lab.assertAllWell(6 * minuteMs)
      await lab.assertLeavesNothing()
    })

  test('the pod that waits for it hears of it', async (t) => {
    const ofPod = ['DescribeSubnets', 'DescribeSecurityGroups', 'CreateNetworkInterface', 'CreateTags']
    for (const action of [...ofPod, 'AttachNetworkInterface', 'ModifyNetworkInterfaceAttribute'])
      await t.test(action, async () => {
        const rights = new Rights()
        await rights.lab.start()
        // What was described before is good for a while.
        await rights.lab.clock.advance(2 * minuteMs)
        rights.takeAction(action)
        rights.lab.addPod('comes', 'a2')
        await rights.lab.clock.advance(minuteMs)
        assert.ok(
          rights.lab
            .events('Pod', 'comes')
            .join('\n')
            .includes(told[action] ?? assert.fail()),
        )
      })
  })

  test('on subnets and groups of the VPC', async () => {
    const rights = new Rights()
    const { lab } = rights
    await lab.start()
    rights.takeStatement('CreateInTheVpc')
    lab.addPod('comes', 'a2')
    await lab.until(() => lab.condition('Ready')?.status === 'False')
    assert.ok(lab.condition('Ready')?.message.includes(refusal('CreateNetworkInterface', 'subnet/subnet-a1')))
    rights.give()
    await lab.assertAllWell()
  })

  test('on the instances of this cluster: of the node, since it may hang on a tag of this one', async () => {
    const rights = new Rights()
    const { lab } = rights
    await lab.start()
    rights.takeStatement('UseInstancesOfThisCluster')
    lab.addPod('comes', 'a2')
    await lab.clock.advance(minuteMs)
    const says = refusal('AttachNetworkInterface', 'instance/i-a2')
    assert.ok(lab.events('Pod', 'comes').join('\n').includes(says))
    assert.ok(lab.events('NodeENI', 'upf').join('\n').includes(says))
    assert.equal(lab.condition('Ready')?.status, 'True')
    await lab.clock.advance(hourMs)
    lab.assertHeldUntouched()
    rights.give()
    await lab.assertAllWell(6 * minuteMs)
    await lab.assertLeavesNothing()
  })

  test('to give tags back that somebody took: the pod hears of it, until that is done', async () => {
    const rights = new Rights()
    const { lab } = rights
    await lab.start()
    rights.takeStatement('TagInterfacesOfThisCluster')
    const { eniID = '' } = lab.attachmentOf('held-1')?.status?.eni ?? {}
    const { tags } = lab.ec2.state.eni(eniID)
    tags.delete('Name')
    await lab.clock.advance(hourMs / 4)
    lab.assertHeldUntouched()
    const says = refusal('CreateTags', `network-interface/${eniID}`)
    assert.ok(lab.events('Pod', 'held-1').join('\n').includes(says))
    assert.ok(lab.attachmentOf('held-1')?.status?.eni?.failure?.message.includes(says))
    assert.equal(lab.condition('UpToDate')?.reason, 'ChangeRefused')
    assert.ok(lab.condition('UpToDate')?.message.includes(says))
    rights.give()
    await lab.assertAllWell()
    assert.equal(tags.get('Name'), 'upf/a1')
  })

  test('to detach, while the NodeENI is being deleted: that tells of it too', async () => {
    const rights = new Rights()
    const { lab } = rights
    await lab.start()
    rights.takeAction('DetachNetworkInterface')
    lab.api.store('nodeenis').delete('upf')
    await lab.until(() => lab.condition('EC2Available')?.status === 'False', 70_000)
    assert.equal(lab.condition('Ready')?.reason, 'Releasing')
    lab.assertUnavailable(/is not authorized to perform: ec2:DetachNetworkInterface/)
    lab.assertHeldUntouched()
    rights.give()
    await lab.assertLeavesNothing()
  })

  test('to describe instance types, from the start', async () => {
    const rights = new Rights()
    const { lab } = rights
    rights.takeAction('DescribeInstanceTypes')
    lab.addUpf()
    lab.startAttacher()
    lab.addPod('comes', 'a1')
    await lab.clock.advance(hourMs)
    lab.assertUnavailable(new RegExp(refusal('DescribeInstanceTypes')))
    lab.assertCallsAtMost(250, 0)
    rights.give()
    await lab.assertAllWell()
  })
})

test('a right to modify that is missing ends no ENI whose pod runs, and what is left to do is done with the right', async () => {
  const lab = new AccountInUse({ cards: 'in the guest' })
  await lab.start()
  const message = 'not authorized to perform: ec2:ModifyNetworkInterfaceAttribute on resource: network-interface/eni-1'
  const kind = { code: 'UnauthorizedOperation', status: 403, message }
  const give = lab.ec2.faults.add({ action: 'ModifyNetworkInterfaceAttribute', when: 'before', times: Infinity, kind })
  lab.addPod('runs', 'a2')
  await lab.clock.advance(10 * minuteMs)
  assert.ok(lab.isServed('runs'))
  assert.equal(lab.attachmentOf('runs')?.status?.eni?.failure?.terminal, false)
  assert.match(lab.events('Pod', 'runs').join('\n'), /UnauthorizedOperation: EC2 ModifyNetworkInterfaceAttribute/)
  give()
  await lab.assertAllWell(6 * minuteMs)
  const { eniID = '' } = lab.attachmentOf('runs')?.status?.eni ?? {}
  assert.equal(lab.ec2.state.findEni(eniID)?.attachment?.deleteOnTermination, true)
})
