// NodeENIs of one resource whose nodes can meet must agree on what a pod would notice.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { NodeENISpec } from '../../src/api/node-eni.ts'
import { conflictOf } from '../../src/attacher/resource-conflict.ts'

import { resource } from './attacher-world.ts'
import { nodeENIOf } from './objects.ts'

const old = nodeENIOf('old', { dpdkResourceName: resource, nodeSelector: { role: 'upf' } }, 1000)
const young = (spec: Partial<NodeENISpec>) => nodeENIOf('young', { ...old.spec, ...spec }, 2000)

const differences: Readonly<Record<string, Partial<NodeENISpec>>> = {
  driver: { enableDPDK: true },
  securityGroupIDs: { securityGroupIDs: ['sg-other'] },
  sourceDestCheck: { sourceDestCheck: false },
  mtu: { mtu: 9000 },
}

for (const [field, spec] of Object.entries(differences)) {
  test(`the younger of two that differ in ${field} is refused, and the reason names field and rival`, () => {
    const conflict = conflictOf(young(spec), [old, young(spec)]) ?? ''
    assert.ok(conflict.includes(field) && conflict.includes('NodeENI old'), conflict)
    assert.equal(conflictOf(old, [old, young(spec)]), undefined)
  })

  test(`two that differ in ${field} may serve different nodes`, () => {
    const elsewhere = young({ ...spec, nodeSelector: { role: 'smf' } })
    assert.equal(conflictOf(elsewhere, [old, elsewhere]), undefined)
  })

  test(`two that differ in ${field} may serve different resources`, () => {
    const other = young({ ...spec, dpdkResourceName: 'intel.com/other' })
    assert.equal(conflictOf(other, [old, other]), undefined)
  })
}

test('selectors on different labels can meet on one node', () => {
  const spec = { mtu: 9000, nodeSelector: { zone: 'a' } }
  assert.match(conflictOf(young(spec), [old]) ?? '', /mtu/)
})

test('subnets, index, limits and the order of groups may differ', () => {
  const securityGroupIDs = ['sg-upf', 'sg-2']
  const a = nodeENIOf('a', { dpdkResourceName: resource, securityGroupIDs })
  const b = nodeENIOf(
    'b',
    {
      dpdkResourceName: resource,
      securityGroupIDs: securityGroupIDs.toReversed(),
      subnetIDs: ['subnet-b1'],
      deviceIndex: 3,
      maxPerNode: 2,
      mtu: 0,
    },
    1,
  )
  assert.equal(conflictOf(b, [a, b]), undefined)
})

test('of two of the same second the first by name is the older', () => {
  const [a, b] = [
    nodeENIOf('a', { dpdkResourceName: resource }),
    nodeENIOf('b', { dpdkResourceName: resource, mtu: 9000 }),
  ]
  assert.equal(conflictOf(a, [a, b]), undefined)
  assert.match(conflictOf(b, [a, b]) ?? '', /NodeENI a/)
})

test('without a resource name there is nothing to share', () => {
  assert.equal(conflictOf(nodeENIOf('b', { mtu: 9000 }, 1), [nodeENIOf('a')]), undefined)
})
