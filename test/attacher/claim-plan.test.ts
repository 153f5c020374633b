// Who should have which claim. Devices of one (node, resource); the kubelet gives a pod any of them, whatever it has claimed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { type Claim, type ENIAttachment, isDeleting } from '../../src/api/eni-attachment.ts'
import { type ClaimChange, planClaims } from '../../src/attacher/claim-plan.ts'

import { resource } from './attacher-world.ts'
import { attachmentOf } from './objects.ts'

const pods: readonly Claim[] = ['A', 'B', 'C', 'D'].map((name) => ({ namespace: 'cnf', name, uid: `uid-${name}` }))
const podOf = (name: string | undefined) => pods.find((pod) => pod.name === name)
const pod = fc.option(fc.constantFrom('A', 'B', 'C', 'D'), { nil: undefined })

interface Device {
  readonly claim: string | undefined
  readonly holder: string | undefined
  readonly deleting: boolean
}

const devices = fc.array(fc.record({ claim: pod, holder: pod, deleting: fc.boolean() }), { minLength: 1, maxLength: 6 })
const alive = fc.subarray(['A', 'B', 'C', 'D'])

function attachmentsOf(all: readonly Partial<Device>[]): ENIAttachment[] {
  return all.map(({ claim, holder, deleting }, i) => {
    const spec = { nodeENI: 'upf', nodeName: 'a1', instanceID: 'i-a1', resourceName: resource, claim: podOf(claim) }
    const inUseBy = holder === undefined ? undefined : { namespace: 'cnf', name: holder }
    const status = { device: { inUseBy } }
    return attachmentOf(`${i}`, { spec, status, ...(deleting && { deletionTimestamp: new Date(0).toISOString() }) })
  })
}

function holderOf({ status }: ENIAttachment): Claim | undefined {
  return podOf(status?.device?.inUseBy?.name)
}

function plan(attachments: readonly ENIAttachment[], living: readonly string[]): ClaimChange[] {
  // A pod that holds a device is there.
  const isAlive = ({ name, uid }: Claim) =>
    living.includes(name) || attachments.some((attachment) => holderOf(attachment)?.uid === uid)
  return planClaims(attachments, holderOf, isAlive)
}

function applied(attachments: readonly ENIAttachment[], changes: readonly ClaimChange[]): ENIAttachment[] {
  const claims = new Map(changes.map(({ attachment, claim }) => [attachment.metadata.name, claim]))
  return attachments.map((attachment) =>
    claims.has(attachment.metadata.name)
      ? { ...attachment, spec: { ...attachment.spec, claim: claims.get(attachment.metadata.name) } }
      : attachment,
  )
}

const claimsOf = (attachments: readonly ENIAttachment[], { uid }: Claim) =>
  attachments.filter(({ spec }) => spec.claim?.uid === uid)
const heldBy = (attachments: readonly ENIAttachment[], { uid }: Claim) =>
  attachments.filter((attachment) => holderOf(attachment)?.uid === uid)

test('afterwards every device that is held is claimed by its holder', () => {
  fc.assert(
    fc.property(devices, alive, (all, living) => {
      const before = attachmentsOf(all)
      for (const after of applied(before, plan(before, living))) {
        const holder = holderOf(after)
        if (holder !== undefined) assert.equal(after.spec.claim?.uid, holder.uid)
      }
    }),
  )
})

test('a living pod has as many devices afterwards as it had claimed, held or reserved, while there are enough', () => {
  fc.assert(
    fc.property(devices, alive, (all, living) => {
      const before = attachmentsOf(all)
      const after = applied(before, plan(before, living))
      const isLiving = ({ name }: Claim) => living.includes(name) || heldBy(before, podOf(name) ?? pods[0]!).length > 0
      const owed = (one: Claim) => Math.max(claimsOf(before, one).length, heldBy(before, one).length)
      for (const one of pods.filter(isLiving)) {
        const has = claimsOf(after, one).length
        assert.ok(has <= owed(one), `${one.name} has ${has} of ${owed(one)}`)
        const isSpare = (attachment: ENIAttachment) =>
          attachment.spec.claim === undefined && holderOf(attachment) === undefined
        const spare = after.filter((attachment) => isSpare(attachment) && !isDeleting(attachment))
        if (has < owed(one))
          assert.deepEqual(spare, [], `${one.name} has ${has} of ${owed(one)}, and there is a spare one`)
      }
    }),
  )
})

test('claims of pods that have ended are freed', () => {
  fc.assert(
    fc.property(devices, alive, (all, living) => {
      const before = attachmentsOf(all)
      for (const { spec } of applied(before, plan(before, living))) {
        if (spec.claim === undefined) continue
        assert.ok(living.includes(spec.claim.name) || heldBy(before, spec.claim).length > 0)
      }
    }),
  )
})

test('a second plan has nothing to change', () => {
  fc.assert(
    fc.property(devices, alive, (all, living) => {
      const before = attachmentsOf(all)
      const after = applied(before, plan(before, living))
      assert.deepEqual(plan(after, living), [])
    }),
  )
})

test('written one by one, no pod that waits is ever without what it ends up with', () => {
  fc.assert(
    fc.property(devices, alive, (all, living) => {
      const before = attachmentsOf(all)
      const changes = plan(before, living)
      const end = applied(before, changes)
      for (const one of pods.filter(({ uid }) => !before.some((attachment) => holderOf(attachment)?.uid === uid))) {
        const least = Math.min(claimsOf(before, one).length, claimsOf(end, one).length)
        changes.forEach((_, i) => {
          const now = applied(before, changes.slice(0, i + 1))
          assert.ok(claimsOf(now, one).length >= least, `${one.name} after write ${i + 1} of ${changes.length}`)
        })
      }
    }),
  )
})

test('a device that is being released is given to nobody', () => {
  fc.assert(
    fc.property(devices, alive, (all, living) => {
      for (const { attachment, claim } of plan(attachmentsOf(all), living)) {
        if (isDeleting(attachment)) assert.ok(claim === undefined || claim.uid === holderOf(attachment)?.uid)
      }
    }),
  )
})

const changesFor = (all: readonly Partial<Device>[], living: readonly string[]) =>
  plan(attachmentsOf(all), living).map(({ attachment, claim }) => [attachment.metadata.name, claim?.name])

test('two pods whose devices the kubelet exchanged exchange their claims, the waiting one first', () => {
  assert.deepEqual(changesFor([{ claim: 'A', holder: 'B' }, { claim: 'B' }], ['A', 'B']), [
    ['1', 'A'],
    ['0', 'B'],
  ])
})

test('a pod with two devices of which one is seen already gives one of its two reservations away', () => {
  const all = [{ claim: 'A' }, { claim: 'A' }, { claim: 'B', holder: 'A' }]
  assert.deepEqual(changesFor(all, ['A', 'B']).toSorted(), [
    ['1', 'B'],
    ['2', 'A'],
  ])
})

test('a device whose holder nobody knows keeps its claim while that pod lives', () => {
  const [attachment] = attachmentsOf([{ claim: 'A' }])
  const held = { ...attachment!, status: { device: { inUseBy: { namespace: 'cnf', name: 'stranger' } } } }
  assert.deepEqual(plan([held], ['A']), [])
  assert.deepEqual(plan([held], []), [{ attachment: held, claim: undefined }])
})
