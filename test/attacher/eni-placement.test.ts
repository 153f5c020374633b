// An instance that EC2 does not know is a reason to send a pod elsewhere; what EC2 has left out of an answer is asked for again.
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

function placementUnderTest(ec2: Partial<Ec2>): EniPlacement {
  const store: Partial<AttachmentStore> = { onInstance: () => [] }
  return new EniPlacement({
    store: store as AttachmentStore,
    inventory: new Inventory({ ec2: () => ec2 as Ec2, policy: allForUs, clock: new TestClock() }),
    networks: {} as Networks,
    policy: allForUs,
  })
}

test('an instance that EC2 does not know is told with what may be wrong', async () => {
  const placement = placementUnderTest({ describeInstances: async () => [] })
  const network = { subnets: [], securityGroupIDs: [] }
  assert.deepEqual(await placement.choose(attachmentOf('upf-1'), nodeENIOf('upf'), network), {
    reason: 'InstanceNotFound',
    message:
      'EC2 knows no instance i-a1; if it is terminated, delete its Node a1; else see the region and account of the attacher',
  })
})

test('an instance type that EC2 does not describe is not taken for one without slots', async () => {
  const ec2 = { describeInstances: async () => [instance], describeInstanceTypes: async () => [] }
  const placement = placementUnderTest(ec2)
  await assert.rejects(
    placement.choose(attachmentOf('upf-1'), nodeENIOf('upf'), { subnets: [], securityGroupIDs: [] }),
    /EC2 has not described instance type brand-new of i-a1 yet/,
  )
})
