// The checker of the cluster tests can fail: a good picture, broken in one way at a time, and what it then says.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { clusterTag, noManageTag } from '../../src/api/names.ts'
import { attachment, eni, goodPicture, macOf, resource, slot, tagsOf } from './good-picture.ts'
import { violationsOf } from './invariants.ts'

const now = '2026-01-01T00:00:00.000Z'

type Break = (parts: ReturnType<typeof goodPicture>) => void

const violations: Readonly<Record<string, readonly [breakIt: Break, violation: string]>> = {
  'a pod was bound a moment before its device was acknowledged': [
    ({ acknowledgement }) => void (acknowledgement.at = 2001),
    `1: pod default/upf was bound when 0 of 1 ${resource} were acknowledged for it`,
  ],
  'a pod was bound to a device that was acknowledged for another': [
    ({ acknowledgement }) => void (acknowledgement.podUID = 'pod-0'),
    `1: pod default/upf was bound when 0 of 1 ${resource} were acknowledged for it`,
  ],
  'a pod was bound when one of its two devices was acknowledged': [
    ({ pod, used, idle, picture, held }) => {
      pod.demand.set(resource, 2)
      idle.spec.claim = used.spec.claim
      picture.held.push({ ...held, pciAddress: '0000:00:07.0' })
    },
    `1: pod default/upf was bound when 1 of 2 ${resource} were acknowledged for it`,
  ],
  'a pod was bound to a device of another resource': [
    ({ acknowledgement }) => void (acknowledgement.resource = 'intel.com/sriov_kernel'),
    `1: pod default/upf was bound when 0 of 1 ${resource} were acknowledged for it`,
  ],
  'a pod was bound and its kubelet had no device for it': [
    ({ pod }) => void (pod.phase = 'Failed'),
    '1: pod default/upf was bound and then refused by the kubelet',
  ],
  'a pod that starts has lost its claim': [
    ({ pod, used, picture }) => {
      pod.phase = 'Pending'
      delete used.spec.claim
      delete used.status?.device
      picture.held.length = 0
    },
    `1: pod default/upf is bound, but 0 of 1 ${resource} are claimed or held by it`,
  ],
  'a pod that starts has its claim on another node': [
    ({ pod, used, picture }) => {
      pod.phase = 'Pending'
      const elsewhere = attachment(3)
      Object.assign(elsewhere.spec, { nodeName: 'node-b', instanceID: 'i-2', claim: used.spec.claim })
      picture.attachments.push(elsewhere)
      picture.enis.push({ ...eni(3), tags: tagsOf(3), attachment: { ...slot(1), instanceId: 'i-2' } })
      delete used.spec.claim
      delete used.status?.device
      picture.held.length = 0
    },
    `1: pod default/upf is bound, but 0 of 1 ${resource} are claimed or held by it`,
  ],
  'a pod that asks for two has one claim': [
    ({ pod, picture, acknowledgement }) => {
      pod.phase = 'Pending'
      pod.demand.set(resource, 2)
      picture.acknowledgements.push({ ...acknowledgement, attachment: 'uid-2' })
    },
    `1: pod default/upf is bound, but 1 of 2 ${resource} are claimed or held by it`,
  ],
  'a pod runs without its device': [
    ({ picture }) => void (picture.held.length = 0),
    `1: pod default/upf runs with 0 of 1 ${resource}`,
  ],
  'a pod runs with a device more than it asked for': [
    ({ picture, held }) => void picture.held.push({ ...held, pciAddress: '0000:00:07.0' }),
    `1: pod default/upf runs with 2 of 1 ${resource}`,
  ],
  'the kubelet has given one device to two pods': [
    ({ picture, held }) => void picture.held.push({ ...held, pod: 'default/other' }),
    '2: device 0000:00:06.0 of node-a is held by default/upf and default/other',
  ],
  'the card of a pod is gone': [
    ({ node }) => void node.cards.splice(1, 1),
    '2: device 0000:00:06.0 of node-a is held by default/upf, but no card is there',
  ],
  'the device of a pod has no ENIAttachment': [
    ({ used }) => void (used.status = { ...used.status, eni: { ...used.status?.eni, mac: macOf(9) } }),
    `2: device 0000:00:06.0 of node-a is held by default/upf, but no ENIAttachment names ${macOf(1)}`,
  ],
  'the ENI of a deleted ENIAttachment was detached while its pod runs': [
    ({ used, usedENI }) => {
      used.metadata.deletionTimestamp = now
      delete usedENI.attachment
    },
    '2: device 0000:00:06.0 of node-a is held by default/upf, but its ENI is not attached',
  ],
  'the ENI of a deleted ENIAttachment is being detached while its pod runs': [
    ({ used, usedENI }) => {
      used.metadata.deletionTimestamp = now
      usedENI.attachment = { ...slot(1), status: 'detaching' }
    },
    '2: device 0000:00:06.0 of node-a is held by default/upf, but its ENI is not attached',
  ],
  'an ENI has no cluster tag': [({ usedENI }) => void usedENI.tags.delete(clusterTag), '3: eni-1 has no cluster tag'],
  'an ENI is not hidden from the VPC CNI': [
    ({ usedENI }) => void usedENI.tags.set(noManageTag, 'yes'),
    '3: eni-1 may be taken by the VPC CNI',
  ],
  'an ENI is left over': [
    ({ picture }) => void picture.enis.push({ eniId: 'eni-3', mac: macOf(3), tags: tagsOf(3) }),
    '3: eni-3 belongs to no ENIAttachment',
  ],
  'an ENIAttachment has a second ENI': [
    ({ picture }) => void picture.enis.push({ eniId: 'eni-3', mac: macOf(3), tags: tagsOf(2) }),
    '3: eni-3 is not the ENI of its ENIAttachment',
  ],
  'an ENIAttachment has never had an ENI': [
    ({ idle, picture }) => {
      idle.status = {}
      picture.enis.pop()
    },
    '3: ENIAttachment user-plane-2 is not attached',
  ],
  'an ENI stays attaching': [
    ({ idleENI }) => void (idleENI.attachment = { ...slot(2), status: 'attaching' }),
    '3: ENIAttachment user-plane-2 is not attached',
  ],
  'an ENI is on another instance than its ENIAttachment says': [
    ({ idleENI }) => void (idleENI.attachment = { ...slot(2), instanceId: 'i-2' }),
    '3: ENIAttachment user-plane-2 is not attached',
  ],
  'an ENIAttachment does not know that its ENI is attached': [
    ({ idle }) => void (idle.status = { eni: { ...idle.status?.eni, attached: false } }),
    '3: ENIAttachment user-plane-2 is not attached',
  ],
  'an idle ENIAttachment is not released': [
    ({ idle }) => void (idle.metadata.deletionTimestamp = now),
    '3: ENIAttachment user-plane-2 waits for its release, but nobody uses it',
  ],
  'two ENIs are in one slot': [
    ({ idleENI }) => void (idleENI.attachment = slot(1)),
    '4: card 0 index 1 of i-1 has eni-1 and eni-2',
  ],
  'an instance has more ENIs than its type allows': [
    ({ node }) => void (node.cardLimits[0] = 2),
    '4: i-1 has 3 ENIs on card 0, which takes 2',
  ],
  'an ENI is beyond the budget that it shares with volumes': [
    ({ idleENI }) => void (idleENI.attachment = { ...slot(2), stuck: true }),
    '4: eni-2 is beyond what ENIs and volumes of i-1 share',
  ],
  'EC2 had to keep the limit': [
    ({ picture }) => void picture.refusedAttaches.push('i-1'),
    '4: EC2 had to refuse one more ENI for i-1',
  ],
  'a NodeENI has more ENIs on a node than it may': [
    ({ nodeENI }) => void (nodeENI.spec.maxPerNode = 1),
    '4: NodeENI user-plane has 2 ENIs on node-a, its maxPerNode is 1',
  ],
  'the primary ENI is detached': [
    ({ primary }) => void delete primary.attachment,
    '5: eni-0, which is not ours, is not as it was',
  ],
  'the primary ENI is at another index': [
    ({ primary }) => void (primary.attachment = slot(3)),
    '5: eni-0, which is not ours, is not as it was',
  ],
  'the primary ENI has a tag of ours': [
    ({ primary }) => void primary.tags.set(clusterTag, 'test'),
    '5: eni-0, which is not ours, is not as it was',
  ],
  'an ENI of others is deleted': [
    ({ picture }) => void picture.foreign.push({ eniId: 'eni-3', mac: macOf(3), tags: new Map() }),
    '5: eni-3, which is not ours, is not as it was',
  ],
  'the primary card is bound to vfio-pci': [
    ({ primaryCard }) => void (primaryCard.driver = 'vfio-pci'),
    '5: the card of eni-0, which is not ours, has lost its kernel driver',
  ],
  'the primary card is gone': [
    ({ node }) => void node.cards.shift(),
    '5: the card of eni-0, which is not ours, has lost its kernel driver',
  ],
}

const noViolations: Readonly<Record<string, Break>> = {
  'a pod runs, and an ENI is idle': () => undefined,
  'a pod waits for a slot': ({ picture, pod }) => {
    picture.pods.push({ ...pod, name: 'default/waits', uid: 'pod-2', phase: 'Pending', binding: undefined })
  },
  'a pod has ended and given back its device': ({ pod, used, picture }) => {
    pod.phase = 'Succeeded'
    delete used.spec.claim
    delete used.status?.device
    picture.held.length = 0
  },
  'the kubelet has chosen the device of another claim, which then moved': ({ acknowledgement }) => {
    acknowledgement.attachment = 'uid-2'
  },
  'a pod holds a device, and the claim is not there yet': ({ used }) => void delete used.spec.claim,
  'each network card has a limit of its own': ({ node, idleENI }) => {
    node.cardLimits = [2, 1]
    idleENI.attachment = { ...slot(1), networkCard: 1 }
  },
  'a deleted ENIAttachment waits for its pod': ({ used }) => void (used.metadata.deletionTimestamp = now),
}

describe('violations of the invariants are told', () => {
  for (const [what, [breakIt, violation]] of Object.entries(violations)) {
    it(what, () => {
      const parts = goodPicture()
      breakIt(parts)
      assert.deepEqual(violationsOf(parts.picture), [`invariant ${violation}`])
    })
  }
})

describe('what is well is not complained about', () => {
  for (const [what, change] of Object.entries(noViolations)) {
    it(what, () => {
      const parts = goodPicture()
      change(parts)
      assert.deepEqual(violationsOf(parts.picture), [])
    })
  }
})
