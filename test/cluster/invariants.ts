// The invariants 1 to 5 of the design, as rules over a picture of an installation that has come to rest.
import { isDeepStrictEqual } from 'node:util'
import { isDeleting, isIdle } from '../../src/api/eni-attachment.ts'
import { attachmentTag, clusterTag, noManageTag } from '../../src/api/names.ts'
import type { HeldDevice, Picture, PicturedENI, PicturedPod } from './picture.ts'

/** Of the primary card and others that are not ours, on simulated nodes and in virtual machines. */
const kernelDrivers = new Set(['ena', 'virtio-pci', 'e1000e'])

type Rule = (picture: Picture) => Iterable<string>

const rules: Readonly<Record<string, readonly Rule[]>> = {
  1: [podsAreBoundToAcknowledgedDevices, podsHaveTheirDevices],
  2: [devicesHaveOneHolder, heldDevicesStay],
  3: [enisBelongToAttachments, attachmentsDoNotWait],
  4: [slotsAreTakenOnce, limitsAreKept, maxPerNodeIsKept],
  5: [foreignENIsAreUntouched],
}

/** One line for each violation; none when all is well. */
export function violationsOf(picture: Picture): string[] {
  return Object.entries(rules).flatMap(([invariant, itsRules]) =>
    itsRules.flatMap((rule) => [...rule(picture)].map((text) => `invariant ${invariant}: ${text}`)),
  )
}

function* podsAreBoundToAcknowledgedDevices({ pods, acknowledgements }: Picture): Iterable<string> {
  for (const { name, uid, demand, binding } of pods) {
    if (binding === undefined) continue
    for (const [resource, count] of demand) {
      const before = acknowledgements.filter(
        (one) => one.podUID === uid && one.resource === resource && one.at <= binding.receivedAt,
      )
      if (before.length < count)
        yield `pod ${name} was bound when ${before.length} of ${count} ${resource} were acknowledged for it`
    }
  }
}

function* podsHaveTheirDevices({ pods, held, attachments }: Picture): Iterable<string> {
  for (const pod of pods) {
    const { name, phase, binding } = pod
    if (binding === undefined || phase === 'Succeeded') continue
    if (phase === 'Failed') {
      yield `pod ${name} was bound and then refused by the kubelet`
      continue
    }
    for (const [resource, count] of pod.demand) {
      const its = attachments.filter(
        ({ spec, status }) =>
          spec.resourceName === resource &&
          spec.nodeName === binding.nodeName &&
          (spec.claim?.uid === pod.uid || isHeldBy(pod, status?.device?.inUseBy)),
      )
      if (its.length < count)
        yield `pod ${name} is bound, but ${its.length} of ${count} ${resource} are claimed or held by it`
      const listed = held.filter((device) => device.pod === name && device.resource === resource)
      if (phase === 'Running' && listed.length !== count)
        yield `pod ${name} runs with ${listed.length} of ${count} ${resource}`
    }
  }
}

function* devicesHaveOneHolder({ held }: Picture): Iterable<string> {
  for (const [device, holders] of Map.groupBy(held, deviceOf)) {
    const pods = new Set(holders.map(({ pod }) => pod))
    if (pods.size > 1) yield `${device} is held by ${[...pods].join(' and ')}`
  }
}

/** An ENI is detached only when no pod holds it. */
function* heldDevicesStay({ held, nodes, attachments, enis }: Picture): Iterable<string> {
  for (const [device, [holder]] of Map.groupBy(held, deviceOf)) {
    const node = nodes.find(({ name }) => name === holder?.nodeName)
    const card = node?.cards.find(({ bdf }) => bdf === holder?.pciAddress)
    if (card === undefined) {
      yield `${device} is held by ${holder?.pod}, but no card is there`
      continue
    }
    const attachment = attachments.find(
      ({ spec, status }) => spec.nodeName === node?.name && status?.eni?.mac === card.mac,
    )
    const eni = enis.find(({ eniId }) => eniId === attachment?.status?.eni?.eniID)
    if (attachment === undefined) yield `${device} is held by ${holder?.pod}, but no ENIAttachment names ${card.mac}`
    else if (!isAttachedTo(node?.instanceID, eni))
      yield `${device} is held by ${holder?.pod}, but its ENI is not attached`
  }
}

function* enisBelongToAttachments({ enis, foreign, attachments }: Picture): Iterable<string> {
  const ours = enis.filter(({ eniId }) => !foreign.some((other) => other.eniId === eniId))
  for (const { eniId, tags } of ours) {
    if (!tags.has(clusterTag)) yield `${eniId} has no cluster tag`
    if (tags.get(noManageTag) !== 'true') yield `${eniId} may be taken by the VPC CNI`
    const owner = attachments.find(({ metadata }) => metadata.uid === tags.get(attachmentTag))
    if (owner === undefined) yield `${eniId} belongs to no ENIAttachment`
    else if (owner.status?.eni?.eniID !== eniId) yield `${eniId} is not the ENI of its ENIAttachment`
  }
}

function* attachmentsDoNotWait({ attachments, enis }: Picture): Iterable<string> {
  for (const attachment of attachments) {
    const { name } = attachment.metadata
    const { instanceID } = attachment.spec
    const { eniID, attached } = attachment.status?.eni ?? {}
    const eni = enis.find(({ eniId }) => eniId === eniID)
    if (isDeleting(attachment)) {
      if (isIdle(attachment)) yield `ENIAttachment ${name} waits for its release, but nobody uses it`
    } else if (attached !== true || !isAttachedTo(instanceID, eni)) yield `ENIAttachment ${name} is not attached`
  }
}

function* slotsAreTakenOnce({ enis }: Picture): Iterable<string> {
  const attached = enis.filter(({ attachment }) => attachment !== undefined)
  for (const [slot, taken] of Map.groupBy(attached, slotOf)) {
    if (taken.length > 1) yield `${slot} has ${taken.map(({ eniId }) => eniId).join(' and ')}`
  }
}

function* limitsAreKept({ enis, nodes, refusedAttaches }: Picture): Iterable<string> {
  for (const { instanceID, cardLimits } of nodes) {
    const onInstance = enis.filter(({ attachment }) => attachment?.instanceId === instanceID)
    for (const [card, limit] of cardLimits.entries()) {
      const onCard = onInstance.filter(({ attachment }) => attachment?.networkCard === card)
      if (onCard.length > limit) yield `${instanceID} has ${onCard.length} ENIs on card ${card}, which takes ${limit}`
    }
    for (const { eniId, attachment } of onInstance) {
      if (attachment?.stuck) yield `${eniId} is beyond what ENIs and volumes of ${instanceID} share`
    }
  }
  for (const instanceID of refusedAttaches) yield `EC2 had to refuse one more ENI for ${instanceID}`
}

function* maxPerNodeIsKept({ nodeENIs, attachments }: Picture): Iterable<string> {
  for (const { metadata, spec } of nodeENIs) {
    const ours = attachments.filter((attachment) => attachment.spec.nodeENI === metadata.name)
    for (const [nodeName, { length }] of Map.groupBy(ours, (attachment) => attachment.spec.nodeName)) {
      if (length > (spec.maxPerNode ?? Number.POSITIVE_INFINITY))
        yield `NodeENI ${metadata.name} has ${length} ENIs on ${nodeName}, its maxPerNode is ${spec.maxPerNode}`
    }
  }
}

/** The primary ENI of each instance is one of them: attached at index 0, with the kernel's driver. */
function* foreignENIsAreUntouched({ foreign, enis, nodes }: Picture): Iterable<string> {
  for (const before of foreign) {
    const now = enis.find(({ eniId }) => eniId === before.eniId)
    if (!isDeepStrictEqual(now, before)) yield `${before.eniId}, which is not ours, is not as it was`
    const node = nodes.find(({ instanceID }) => instanceID === before.attachment?.instanceId)
    const card = node?.cards.find(({ mac }) => mac === before.mac)
    if (node !== undefined && !kernelDrivers.has(card?.driver ?? ''))
      yield `the card of ${before.eniId}, which is not ours, has lost its kernel driver`
  }
}

function deviceOf({ nodeName, pciAddress }: HeldDevice): string {
  return `device ${pciAddress} of ${nodeName}`
}

function slotOf({ attachment }: PicturedENI): string {
  return `card ${attachment?.networkCard} index ${attachment?.deviceIndex} of ${attachment?.instanceId}`
}

function isAttachedTo(instanceID: string | undefined, eni: PicturedENI | undefined): boolean {
  return eni?.attachment?.instanceId === instanceID && eni?.attachment?.status === 'attached'
}

function isHeldBy(
  pod: PicturedPod,
  holder: { readonly namespace: string; readonly name: string } | undefined,
): boolean {
  return holder !== undefined && pod.name === `${holder.namespace}/${holder.name}`
}
