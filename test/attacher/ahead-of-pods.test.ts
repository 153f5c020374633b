// The ENIs that a NodeENI wants on a node before any pod asks.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import { aheadOfPods, notThere } from '../../src/attacher/ahead-of-pods.ts'
import type { Network } from '../../src/attacher/network.ts'

import { resource } from './attacher-world.ts'
import { attachmentOf, nodeENIOf, nodeOf } from './objects.ts'

const subnet = (id: string, letter: string) => ({
  id,
  zone: `eu-north-1${letter}`,
  vpcID: 'vpc-1',
  cidr: '10.0.0.0/24',
  freeAddresses: 100,
})
const network: Network = {
  subnets: [subnet('subnet-a1', 'a'), subnet('subnet-b1', 'b'), subnet('subnet-a2', 'a')],
  securityGroupIDs: ['sg-upf'],
}
const claimed = (name: string): ENIAttachment => {
  const claim = { namespace: 'cnf', name, uid: `uid-${name}` }
  const spec = { nodeENI: 'upf', nodeName: 'a1', instanceID: 'i-a1', resourceName: resource, claim }
  return attachmentOf(name, { spec })
}
const countFor = (spec: object, existing: ENIAttachment[], zone = 'eu-north-1a') =>
  aheadOfPods(nodeENIOf('upf', spec), nodeOf('a1', zone), network, existing).length

test('Eager: one ENI for each subnet of the zone of the node', () => {
  assert.equal(countFor({}, []), 2)
  assert.equal(countFor({}, [], 'eu-north-1b'), 1)
  assert.equal(countFor({}, [], 'eu-north-1c'), 0)
})

test('Eager: those that exist count, and maxPerNode is a limit', () => {
  assert.equal(countFor({}, [attachmentOf('1')]), 1)
  assert.equal(countFor({}, [attachmentOf('1'), attachmentOf('2')]), 0)
  assert.equal(countFor({ maxPerNode: 1 }, []), 1)
})

test('JustInTime: nothing, unless some are to be kept warm', () => {
  assert.equal(countFor({ dpdkResourceName: resource }, []), 0)
  assert.equal(countFor({ dpdkResourceName: resource, warm: 2 }, []), 2)
})

test('warm ENIs are idle ones: those that pods have do not count', () => {
  const spec = { dpdkResourceName: resource, warm: 2 }
  assert.equal(countFor(spec, [claimed('1'), attachmentOf('2')]), 1)
  assert.equal(countFor(spec, [attachmentOf('1'), attachmentOf('2')]), 0)
})

test('an ENI that is being released is not warm, but still fills its place under maxPerNode', () => {
  const released = attachmentOf('1', { deletionTimestamp: new Date(0).toISOString() })
  assert.equal(countFor({ dpdkResourceName: resource, warm: 1 }, [released]), 1)
  assert.equal(countFor({ dpdkResourceName: resource, warm: 1, maxPerNode: 1 }, [released]), 0)
})

test('not there are those that are not attached; one that a pod holds is there for Eager and is no warm one', () => {
  const attached = (one: ENIAttachment): ENIAttachment => ({ ...one, status: { eni: { attached: true } } })
  const [being, idle, held] = [attachmentOf('1'), attached(attachmentOf('2')), attached(claimed('3'))]
  const count = (spec: object, existing: ENIAttachment[]) =>
    notThere(nodeENIOf('upf', spec), nodeOf('a1'), network, existing)
  assert.deepEqual(
    [[], [being], [being, idle], [idle, held]].map((existing) => count({}, existing)),
    [2, 2, 1, 0],
  )
  const deletionTimestamp = new Date(0).toISOString()
  const released = (one: ENIAttachment) => ({ ...one, metadata: { ...one.metadata, deletionTimestamp } })
  assert.equal(count({}, [released(idle), released(held)]), 1, 'what is held stays until its pod ends')
  const warm = { dpdkResourceName: resource, warm: 2 }
  assert.deepEqual(
    [[], [being, idle], [idle, held]].map((existing) => count(warm, existing)),
    [2, 1, 1],
  )
  assert.equal(count({ maxPerNode: 1 }, []), 1)
  assert.equal(count({ ...warm, maxPerNode: 2 }, [idle, held]), 0, 'there is no room for the second one')
})

test('never more than maxPerNode and never more than warm', () => {
  const counts = fc.record({
    idle: fc.nat(4),
    busy: fc.nat(4),
    warm: fc.nat(5),
    maxPerNode: fc.integer({ min: 1, max: 6 }),
  })
  fc.assert(
    fc.property(counts, ({ idle, busy, warm, maxPerNode }) => {
      const existing = [
        ...Array.from({ length: idle }, (_, i) => attachmentOf(`idle-${i}`)),
        ...Array.from({ length: busy }, (_, i) => claimed(`busy-${i}`)),
      ]
      const more = countFor({ dpdkResourceName: resource, warm, maxPerNode }, existing)
      if (more === 0) return
      assert.ok(existing.length + more <= maxPerNode)
      assert.ok(idle + more <= warm)
    }),
  )
})

test('what is asked for again while the cache shows only some of it has the same names: never one too many', () => {
  const policies = fc.constantFrom({}, { dpdkResourceName: resource, warm: 3 }, { maxPerNode: 1 })
  fc.assert(
    fc.property(policies, fc.subarray([0, 1, 2]), (spec, seen) => {
      const nodeENI = nodeENIOf('upf', spec)
      const names = aheadOfPods(nodeENI, nodeOf('a1'), network, [])
      const shown = seen.flatMap((i) => names[i] ?? []).map((name) => attachmentOf(name))
      for (const name of aheadOfPods(nodeENI, nodeOf('a1'), network, shown)) assert.ok(names.includes(name))
    }),
  )
})

test('another instance of the same name, and what follows a claimed warm ENI, get other names', () => {
  const nodeENI = nodeENIOf('upf', { dpdkResourceName: resource, warm: 1 })
  const [first = ''] = aheadOfPods(nodeENI, nodeOf('a1'), network, [])
  const [onOther] = aheadOfPods(nodeENI, { ...nodeOf('a1'), instanceID: 'i-other' }, network, [])
  const [next] = aheadOfPods(nodeENI, nodeOf('a1'), network, [claimed(first)])
  assert.equal(new Set([first, onOther, next]).size, 3)
})
