// What EC2 has left out of an answer is asked for again, and is no reason to send a pod elsewhere.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { AttachmentStore } from '../../src/attacher/attachment-store.ts'
import type { Ec2, Instance } from '../../src/attacher/ec2.ts'
import { EniAttach, type EniAttachParts } from '../../src/attacher/eni-attach.ts'
import { Inventory } from '../../src/attacher/inventory.ts'
import type { Networks } from '../../src/attacher/network.ts'

import { allForUs, attachmentOf, nodeENIOf } from './objects.ts'
import { TestClock } from './test-clock.ts'

const instance: Instance = {
  id: 'i-a1',
  type: 'brand-new',
  state: 'running',
  vpcID: 'vpc-1',
  zone: 'eu-north-1a',
  interfaces: [],
  volumes: 1,
}

test('an instance type that EC2 does not describe is not taken for one without slots', async (t) => {
  const described: Partial<Ec2> = { describeInstances: async () => [instance], describeInstanceTypes: async () => [] }
  const ec2 = described as Ec2
  const parts: Partial<EniAttachParts> = {
    ec2: () => ec2,
    store: { onInstance: () => [] } as Partial<AttachmentStore> as AttachmentStore,
    inventory: new Inventory(ec2, allForUs),
    networks: { isExhausted: () => false } as Partial<Networks> as Networks,
    policy: allForUs,
    clock: new TestClock(),
  }
  const attach = new EniAttach(parts as EniAttachParts)
  const networkOf = async () => ({ subnets: [], securityGroupIDs: [] })
  await assert.rejects(
    attach.attach(attachmentOf('upf-1'), nodeENIOf('upf'), networkOf, t.signal),
    /EC2 has not described instance type brand-new of i-a1 yet/,
  )
})
