// Two NodeENIs draw addresses from one subnet: what either is about to take is not free for the other.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { type Claim, terminalFailure } from '../../src/api/eni-attachment.ts'
import type { NodeENI } from '../../src/api/node-eni.ts'
import { attacherWorld, resource, subnet } from './attacher-world.ts'
import { minuteMs } from './lab/account-in-use.ts'
import { Lab, type LabOptions } from './lab/lab.ts'

/** 59 free addresses, 27, and 11. */
const [large, small, tiny] = ['subnet-large', 'subnet-small', 'subnet-tiny']
const nodes = ['n0', 'n1', 'n2', 'n3']
const world = {
  ...attacherWorld,
  subnets: [
    ...attacherWorld.subnets,
    subnet(large, 'a', '10.0.64.0/26'),
    subnet(small, 'a', '10.0.64.64/27'),
    subnet(tiny, 'a', '10.0.64.96/28'),
  ],
  // Of 15 interfaces each.
  instances: nodes.map((name) => ({ instanceId: `i-${name}`, instanceType: 'm5.24xlarge', subnetId: 'subnet-a1' })),
}

/** Of the first fifty the last is made after four minutes. */
const slowCreates = new Map([['CreateNetworkInterface' as const, { tokens: 5, perSecond: 0.2 }]])

class TwoNodeENIs extends Lab {
  readonly #claims = new Map<string, Claim>()

  constructor(limits?: LabOptions['limits']) {
    super({ ec2: { world, delays: { answerMs: 50 } }, ...(limits && { limits }) })
    for (const name of nodes) this.scene.addNode(name)
    this.scene.addNodeENI('first', { dpdkResourceName: resource, subnetIDs: [large] })
    this.scene.addNodeENI('second', { dpdkResourceName: 'intel.com/other', subnetIDs: [large, small] })
    this.startAttacher()
  }

  /** Answers the names of their ENIAttachments. */
  addPods(nodeENI: 'first' | 'second', count: number): string[] {
    const resourceName = nodeENI === 'first' ? resource : 'intel.com/other'
    return Array.from({ length: count }, () => {
      const nodeName = nodes[this.#claims.size % nodes.length] ?? assert.fail()
      const name = `${nodeENI}-${this.#claims.size}`
      const place = { nodeName, instanceID: `i-${nodeName}` }
      const claim = this.scene.addUnboundPod(name)
      this.#claims.set(name, claim)
      this.scene.addIntent(name, claim, { nodeENI, resourceName, ...place })
      return name
    })
  }

  /** Its pod ends. */
  endPod(name: string): void {
    this.scene.endPod(this.#claims.get(name) ?? assert.fail(name))
  }

  /** Of the first subnet of the first NodeENI: the extender goes by it. */
  get isExhausted(): boolean | undefined {
    const { status } = this.api.store('nodeenis').get('first') as unknown as NodeENI
    return status?.subnets?.[0]?.exhausted
  }

  subnetOf(name: string): string | undefined {
    return this.scene.attachment(name).status?.eni?.subnetID
  }

  isAttached(name: string): boolean {
    return this.scene.attachment(name).status?.eni?.attached === true
  }

  get free(): number {
    return this.ec2.state.subnet(large).addresses.free
  }
}

test('ENIs that wait for their create for minutes are counted all that time', async () => {
  const lab = new TwoNodeENIs({ quotas: slowCreates })
  const waiting = lab.addPods('first', 50)
  await lab.clock.until(() => waiting.every((name) => lab.subnetOf(name) === large), minuteMs)
  await lab.clock.advance(2 * minuteMs)
  assert.ok(lab.free > 27 && lab.free < 59, `${lab.free} addresses are free`)
  const [late = ''] = lab.addPods('second', 1)
  await lab.clock.until(() => lab.subnetOf(late) !== undefined, minuteMs)
  assert.equal(lab.subnetOf(late), small)
  await lab.clock.until(() => [...waiting, late].every((name) => lab.isAttached(name)), 10 * minuteMs)
})

test('ENIs that EC2 refuses to make are counted no more', async () => {
  const lab = new TwoNodeENIs({ quotas: slowCreates })
  const kind = { code: 'InvalidSecurityGroup.InUse', status: 400 }
  const end = lab.ec2.faults.add({ action: 'CreateNetworkInterface', when: 'before', times: Infinity, kind })
  const refused = lab.addPods('first', 50)
  await lab.clock.until(() => refused.every((name) => lab.subnetOf(name) === large), minuteMs)
  await lab.clock.until(
    () => refused.every((name) => terminalFailure(lab.scene.attachment(name)) !== undefined),
    10 * minuteMs,
  )
  end()
  await lab.clock.advance(minuteMs)
  const [late = ''] = lab.addPods('second', 1)
  await lab.clock.until(() => lab.subnetOf(late) !== undefined, minuteMs)
  assert.equal(lab.subnetOf(late), large)
})

test('what EC2 has told the one is what the other goes by', async () => {
  const lab = new TwoNodeENIs()
  const asksOf = () => lab.ec2.calls.count('DescribeSubnets')
  const [first = ''] = lab.addPods('second', 1)
  await lab.clock.until(() => lab.isAttached(first), minuteMs)
  const others = lab.addPods('first', 35)
  await lab.clock.until(() => others.every((name) => lab.isAttached(name)), minuteMs)
  await lab.clock.advance(10_000)
  // Another question, which EC2 has not answered before.
  lab.scene.changeNodeENI('first', { subnetIDs: [large, 'subnet-b1'] })
  const before = asksOf()
  lab.addPods('first', 1)
  await lab.clock.until(() => asksOf() > before, minuteMs)
  await lab.clock.advance(2_000)
  const asked = asksOf()
  const [late = ''] = lab.addPods('second', 1)
  await lab.clock.until(() => lab.subnetOf(late) !== undefined, minuteMs)
  assert.equal(asksOf(), asked, 'its own answer is still good')
  assert.equal(lab.subnetOf(late), small)
})

test('a subnet whose last addresses are given back is exhausted no more within minutes', async () => {
  const lab = new TwoNodeENIs()
  lab.scene.changeNodeENI('first', { subnetIDs: [tiny], releaseAfter: '0s' })
  const pods = lab.addPods('first', 11)
  await lab.clock.until(() => pods.every((name) => lab.isAttached(name)), minuteMs)
  await lab.clock.until(() => lab.isExhausted === true, 2 * minuteMs)
  await lab.clock.advance(3 * minuteMs)
  assert.equal(lab.isExhausted, true)
  for (const name of pods) lab.endPod(name)
  await lab.clock.until(() => lab.isExhausted === false, 2 * minuteMs)
  const [late = ''] = lab.addPods('first', 1)
  await lab.clock.until(() => lab.isAttached(late), minuteMs)
})

test('a subnet that EC2 has refused is exhausted no more within minutes', async () => {
  const lab = new TwoNodeENIs()
  lab.scene.changeNodeENI('first', { subnetIDs: [tiny] })
  const kind = { code: 'InsufficientFreeAddressesInSubnet' }
  lab.ec2.faults.add({ action: 'CreateNetworkInterface', when: 'before', kind })
  const [refused = ''] = lab.addPods('first', 1)
  await lab.clock.until(() => terminalFailure(lab.scene.attachment(refused)) !== undefined, minuteMs)
  await lab.clock.until(() => lab.isExhausted === true, minuteMs)
  await lab.clock.until(() => lab.isExhausted === false, 3 * minuteMs)
})
