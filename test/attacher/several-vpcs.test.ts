// A cluster with nodes in two VPCs: a NodeENI is of one of them.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { NodeENI } from '../../src/api/node-eni.ts'

import { attacherWorld } from './attacher-world.ts'
import { Lab } from './lab/lab.ts'

const inOther = { instanceId: 'i-other', instanceType: 'm5.xlarge', subnetId: 'subnet-other' }
const world = { ...attacherWorld, instances: [...attacherWorld.instances, inOther] }

/** With nodes a1 and other, in vpc-1 and vpc-2. */
class TwoVpcs extends Lab {
  constructor() {
    super({ ec2: { world } })
    for (const node of ['a1', 'other']) this.scene.addNode(node)
    this.startAttacher()
  }

  ready(name: string) {
    const nodeENI = this.api.store('nodeenis').get(name) as unknown as NodeENI | undefined
    return nodeENI?.status?.conditions?.find(({ type }) => type === 'Ready')
  }

  async until(isSo: () => boolean): Promise<void> {
    await this.clock.until(isSo, 60_000)
  }
}

test('a NodeENI for each VPC, with its own subnets and security groups', async () => {
  const lab = new TwoVpcs()
  const spec = { nodeSelector: { node: 'other' }, subnetIDs: ['subnet-other'], securityGroupIDs: ['sg-other'] }
  lab.scene.addNodeENI('first', { nodeSelector: { node: 'a1' } })
  lab.scene.addNodeENI('second', spec)
  await lab.until(() => lab.scene.attachments().filter(({ status }) => status?.eni?.attached).length === 2)
  assert.deepEqual([lab.ready('first')?.status, lab.ready('second')?.status], ['True', 'True'])
})

test('a NodeENI whose nodes are in several VPCs makes no ENI, and says so until it selects those of one', async () => {
  const lab = new TwoVpcs()
  lab.scene.addNodeENI('both')
  await lab.until(() => lab.ready('both')?.status === 'False')
  const { reason, message } = lab.ready('both') ?? assert.fail()
  assert.equal(reason, 'SeveralVPCs')
  assert.match(message, /\(i-a1 in vpc-1, i-other in vpc-2\): make a NodeENI for each VPC/)
  assert.deepEqual(lab.scene.attachments(), [])
  lab.scene.changeNodeENI('both', { nodeSelector: { node: 'a1' } })
  await lab.until(() => lab.ready('both')?.status === 'True' && lab.scene.attachments().length === 1)
})

test('a NodeENI without nodes is of no VPC where there are several', async () => {
  const lab = new TwoVpcs()
  lab.scene.addNodeENI('first', { nodeSelector: { node: 'a1' } })
  lab.scene.addNodeENI('second', { nodeSelector: { node: 'none' }, subnetIDs: ['subnet-other'] })
  await lab.until(() => lab.ready('second')?.status === 'False')
  assert.equal(lab.ready('second')?.reason, 'SubnetNotFound', 'as long as all nodes are in one, it must be of that')
  lab.scene.addNodeENI('third', { nodeSelector: { node: 'other' }, subnetIDs: ['subnet-other'] })
  await lab.until(() => lab.ready('second')?.reason === 'NoInstances')
})
