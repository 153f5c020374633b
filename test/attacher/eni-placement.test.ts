// What EC2 has left out of an answer is asked for again, and is no reason to send a pod elsewhere.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { AttachmentStore } from '../../src/attacher/attachment-store.ts'
import type { Ec2, Instance } from '../../src/attacher/ec2.ts'
import { EniPlacement } from '../../src/attacher/eni-placement.ts'
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

test('an instance type that EC2 does not describe is not taken for one without slots', async () => {
  const ec2: Partial<Ec2> = { describeInstances: async () => [instance], describeInstanceTypes: async () => [] }
  const store: Partial<AttachmentStore> = { onInstance: () => [] }
  const placement = new EniPlacement({
    store: store as AttachmentStore,
    inventory: new Inventory({ ec2: () => ec2 as Ec2, policy: allForUs, clock: new TestClock() }),
    networks: {} as Networks,
    policy: allForUs,
  })
  await assert.rejects(
    placement.choose(attachmentOf('upf-1'), nodeENIOf('upf'), { subnets: [], securityGroupIDs: [] }),
    /EC2 has not described instance type brand-new of i-a1 yet/,
  )
})
