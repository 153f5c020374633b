// The rule that decides which node can have a pod's devices.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { checkNode, type Refusal, refusals, type Verdict } from '../../src/extender/node-check.ts'
import {
  advertised,
  attachment,
  failing,
  ledgerOf,
  n3,
  node,
  nodeENI,
  terminal,
  upf,
  type World,
} from './ledger-world.ts'

const one = new Map([[upf, 1]])
const two = new Map([[upf, 2]])

function check(world: World, demand = one, podUID = 'pod-1'): Verdict {
  return checkNode(ledgerOf(world), 'a', demand, podUID)
}

function plansOf(verdict: Verdict): string[][] {
  assert.ok(verdict.fits, verdict.fits ? '' : verdict.refusal)
  return verdict.plans.map(({ mine, reuse, attach }) => [
    ...mine.map(({ metadata }) => `mine ${metadata.name}`),
    ...reuse.map(({ metadata }) => `reuse ${metadata.name}`),
    ...attach.map(({ metadata }) => `attach ${metadata.name}`),
  ])
}

const capped = { spec: { maxPerNode: 1 } }
const refused: [why: string, world: World, refusal: Refusal][] = [
  ['a node that is not there', { nodes: [] }, refusals.unknownNode],
  ['a node that is no EC2 instance', { nodes: [{ ...node('a'), instanceID: undefined }] }, refusals.unknownNode],
  [
    'a node without a registered plugin',
    { nodes: [node('a', { registered: new Set([n3]) })] },
    refusals.pluginNotRegistered,
  ],
  ['no NodeENI at all', { nodeENIs: [] }, refusals.noNodeENI],
  [
    'a NodeENI for another resource',
    { nodeENIs: [nodeENI('upf', { spec: { dpdkResourceName: n3 } })] },
    refusals.noNodeENI,
  ],
  [
    'a NodeENI for other nodes',
    { nodeENIs: [nodeENI('upf', { spec: { nodeSelector: { ng: 'x' } } })] },
    refusals.notSelected,
  ],
  [
    'a resource that no plugin has registered, because no NodeENI serves it on the node',
    { nodes: [node('a', { registered: new Set() })], nodeENIs: [] },
    refusals.noNodeENI,
  ],
  [
    'an Eager NodeENI whose ENIs are in use',
    {
      nodeENIs: [nodeENI('upf', { spec: { attachPolicy: 'Eager' } })],
      attachments: [attachment('x', { claim: 'pod-2', status: advertised })],
    },
    refusals.eagerInUse,
  ],
  [
    'a NodeENI whose card this node cannot use',
    { nodes: [node('a', { refused: [{ nodeENI: 'upf', generation: 3, reason: 'PCIAddressMismatch' }] })] },
    refusals.nodeRefuses,
  ],
  [
    'an ENI whose card the device plugin cannot offer: one more would fail alike',
    {
      attachments: [
        attachment('x', { status: { ...advertised, device: { health: 'Unhealthy', failure: failing('no driver') } } }),
      ],
    },
    refusals.deviceFailed,
  ],
  [
    'one NodeENI at its maxPerNode, and one of another zone: what is nearest to a device is told',
    {
      nodeENIs: [nodeENI('near', capped), nodeENI('other-zone', { subnets: [{ zone: 'b' }] })],
      attachments: [attachment('x', { nodeENI: 'near', claim: 'pod-2' })],
    },
    refusals.maxPerNode,
  ],
  ['a NodeENI that is going away', { nodeENIs: [nodeENI('upf', { deleting: true })] }, refusals.noNodeENI],
  ['a NodeENI that is not ready', { nodeENIs: [nodeENI('upf', { ready: false })] }, refusals.nodeENINotReady],
  ['subnets in other zones', { nodeENIs: [nodeENI('upf', { subnets: [{ zone: 'b' }] })] }, refusals.noSubnetInZone],
  ['a node without a zone', { nodes: [node('a', { zone: undefined })] }, refusals.noZone],
  [
    'only exhausted subnets in the zone',
    { nodeENIs: [nodeENI('upf', { subnets: [{ exhausted: true }, { zone: 'b' }] })] },
    refusals.subnetsExhausted,
  ],
  [
    'maxPerNode reached',
    { nodeENIs: [nodeENI('upf', capped)], attachments: [attachment('x', { claim: 'pod-2' })] },
    refusals.maxPerNode,
  ],
  ['an unknown capacity', { nodes: [node('a', { capacity: undefined })] }, refusals.capacityUnknown],
  [
    "the capacity of the node's last instance",
    { nodes: [{ ...node('a'), instanceID: 'i-new' }] },
    refusals.capacityUnknown,
  ],
  [
    'an instance type that EC2 does not describe',
    { nodes: [{ ...node('a'), capacity: { instanceID: 'i-a', cards: [], unknownType: true } }] },
    refusals.typeUnknown,
  ],
  ['no slot', { nodes: [node('a', { slots: 0 })] }, refusals.noSlot],
  [
    'slots on the cards, and a budget that volumes share and have used up',
    { nodes: [node('a', { shared: 1 })], attachments: [attachment('x', { claim: 'pod-2' })] },
    refusals.budgetUsed,
  ],
  [
    'neither a slot on the cards nor a budget: more of the budget would not help',
    { nodes: [node('a', { slots: 1, shared: 1 })], attachments: [attachment('x', { claim: 'pod-2' })] },
    refusals.noSlot,
  ],
  [
    'all slots taken, also by what fails, is released or serves another resource',
    {
      nodes: [node('a', { slots: 3 })],
      attachments: [
        attachment('x', { deleting: true }),
        attachment('y', { status: { eni: { failure: terminal('no') } } }),
        attachment('z', { resource: n3, nodeENI: 'n3' }),
      ],
    },
    refusals.noSlot,
  ],
]

for (const [why, world, refusal] of refused) {
  test(`${why}: "${refusal}"`, () => assert.deepEqual(check(world), { fits: false, refusal }))
}

test('a node whose plugin was silent is refused until its suspension ends', () => {
  const ledger = ledgerOf()
  const resume = ledger.suspend('a')
  assert.deepEqual(checkNode(ledger, 'a', one, 'pod-1'), { fits: false, refusal: refusals.pluginSilent })
  const resumeSecond = ledger.suspend('a')
  resume()
  resume()
  assert.equal(checkNode(ledger, 'a', one, 'pod-1').fits, false)
  resumeSecond()
  assert.equal(checkNode(ledger, 'a', one, 'pod-1').fits, true)
})

test('every refusal is one short line without numbers, so that the scheduler can count nodes by it', () => {
  for (const text of Object.values(refusals)) {
    assert.ok(text.length <= 60, text)
    assert.match(text.replace('EC2', ''), /^[^\n\d]+$/)
  }
  assert.equal(new Set(Object.values(refusals)).size, Object.keys(refusals).length)
})

test('a node with a free slot and a usable subnet gets a new ENI', () => {
  const verdict = check({ nodeENIs: [nodeENI('upf', { subnets: [{ exhausted: true }, {}] })] })
  assert.deepEqual(plansOf(verdict), [['attach upf']])
  assert.equal(verdict.fits && verdict.slotsLeft, 3)
})

test('an idle device is used before a new ENI, even where none could be attached', () => {
  const idle = attachment('idle', { status: advertised })
  assert.deepEqual(plansOf(check({ attachments: [idle] })), [['reuse idle']])
  const nothingElse = { nodes: [node('a', { slots: 0, capacity: undefined })], nodeENIs: [], attachments: [idle] }
  assert.deepEqual(plansOf(check(nothingElse)), [['reuse idle']])
})

test('of several idle devices those that are ready soonest are used', () => {
  const attachments = [
    attachment('intent'),
    attachment('created', { status: { eni: { eniID: 'eni-1' } } }),
    attachment('attached', { status: { eni: { eniID: 'eni-2', attached: true } } }),
    attachment('ready', { status: advertised }),
  ]
  const demand = new Map([[upf, 3]])
  assert.deepEqual(plansOf(check({ attachments }, demand)), [['reuse ready', 'reuse attached', 'reuse created']])
})

test('what is claimed, held, unhealthy, failed, being released or of another resource is not reused', () => {
  const attachments = [
    attachment('claimed', { claim: 'pod-2', status: advertised }),
    attachment('held', { status: { ...advertised, device: { inUseBy: { namespace: 'cnf', name: 'pod-3' } } } }),
    attachment('unhealthy', { status: { ...advertised, device: { advertised: true, health: 'Unhealthy' } } }),
    attachment('failed', { status: { ...advertised, device: { failure: terminal('no') } } }),
    attachment('released', { deleting: true, status: advertised }),
    attachment('other', { resource: n3, status: advertised }),
  ]
  assert.deepEqual(plansOf(check({ nodes: [node('a', { slots: 7 })], attachments })), [['attach upf']])
})

test('what the pod has claimed already counts for it, beside idle devices and new ENIs', () => {
  const attachments = [attachment('mine', { claim: 'pod-1' }), attachment('idle', { status: advertised })]
  assert.deepEqual(plansOf(check({ attachments }, new Map([[upf, 3]]))), [['mine mine', 'reuse idle', 'attach upf']])
})

test('a node name that came back for another instance owes nothing to the last one', () => {
  const attachments = [
    attachment('old', { instanceID: 'i-old', claim: 'pod-1', status: advertised }),
    attachment('older', { instanceID: 'i-old', status: advertised }),
  ]
  const verdict = check({ nodes: [node('a', { slots: 1 })], attachments })
  assert.deepEqual(plansOf(verdict), [['attach upf']])
})

test('several NodeENIs are one pool: the first by name that is usable serves, the next beyond its maxPerNode', () => {
  const usable = (name: string) => nodeENI(name, capped)
  const nodeENIs = [usable('c'), usable('b'), nodeENI('a', { subnets: [{ zone: 'b' }] })]
  assert.deepEqual(plansOf(check({ nodeENIs }, two)), [['attach b', 'attach c']])
  assert.deepEqual(check({ nodeENIs }, new Map([[upf, 3]])), { fits: false, refusal: refusals.maxPerNode })
})

test('a pod with two resources needs slots for both', () => {
  const both = new Map([
    [upf, 1],
    [n3, 2],
  ])
  const nodeENIs = [nodeENI('upf'), nodeENI('n3', { spec: { dpdkResourceName: n3 } })]
  assert.deepEqual(plansOf(check({ nodes: [node('a', { slots: 3 })], nodeENIs }, both)), [
    ['attach upf'],
    ['attach n3', 'attach n3'],
  ])
  const tooFew = check({ nodes: [node('a', { slots: 2 })], nodeENIs }, both)
  assert.deepEqual(tooFew, { fits: false, refusal: refusals.noSlot })
})

test('a NodeENI that changed since the node refused it is tried again', () => {
  const nodes = [node('a', { refused: [{ nodeENI: 'upf', generation: 2, reason: 'PCIAddressMismatch' }] })]
  assert.deepEqual(plansOf(check({ nodes })), [['attach upf']])
})

test('a pod that asks for a million devices is refused as quickly as any other', () => {
  assert.deepEqual(check({}, new Map([[upf, 1e9]])), { fits: false, refusal: refusals.noSlot })
})

test('a pod that asks for none fits on any EC2 instance', () => {
  const world = { nodeENIs: [], nodes: [node('a', { slots: 0, registered: new Set() })] }
  assert.equal(check(world, new Map([[upf, 0]])).fits, true)
})
