// What must be true of an installation that has come to rest (invariants 1 to 4 of the design), checked by looking at EC2, the
// API server and the kubelets. Every cluster test ends with it.
import assert from 'node:assert/strict'
import { isDeleting } from '../../src/api/eni-attachment.ts'
import { attachmentTag, clusterTag, noManageTag } from '../../src/api/names.ts'
import { PodResourcesClient } from '../../src/device-plugin/pod-resources.ts'
import type { Installation } from '../../sim/installation/installation.ts'
import { managedResources } from '../../sim/installation/manifests.ts'
import type { ObservedPod, Observer } from '../../sim/installation/observer.ts'

const managed = managedResources()

interface Held {
  readonly nodeName: string
  readonly resource: string
  readonly pciAddress: string
  readonly pod: string
}

export async function checkInvariants(installation: Installation, observer: Observer): Promise<void> {
  const held = (await Promise.all(installation.cluster.nodes.map(({ name }) => heldOn(installation, name)))).flat()
  checkPodsHaveTheirDevices(observer, held)
  checkDevicesHaveOneHolder(installation, observer, held)
  checkEveryENIHasItsObject(installation, observer)
  checkSlots(installation)
}

/** 1. No pod runs without the devices that it asked for; none is bound before they are acknowledged for it. */
function checkPodsHaveTheirDevices(observer: Observer, held: readonly Held[]): void {
  for (const pod of observer.allPods().filter(({ nodeName }) => nodeName !== undefined)) {
    for (const [resource, count] of demandOf(pod)) {
      if (pod.phase === 'Running') {
        const devices = held.filter(
          (device) => device.pod === `${pod.namespace}/${pod.name}` && device.resource === resource,
        )
        assert.equal(
          devices.length,
          count,
          `invariant 1: pod ${pod.name} runs with ${devices.length} of ${count} ${resource}`,
        )
      }
      assert.notEqual(pod.phase, 'Failed', `invariant 1: pod ${pod.name} was bound and refused by the kubelet`)
      const claims = observer
        .allAttachments()
        .filter(({ spec }) => spec.claim?.uid === pod.uid && spec.resourceName === resource)
      for (const { metadata, status } of claims) {
        const text = `invariant 1: pod ${pod.name} is bound, but ${metadata.name} is not acknowledged for it`
        const acknowledged = status?.device?.acknowledged === pod.uid || status?.device?.inUseBy?.name === pod.name
        assert.ok(acknowledged, text)
      }
    }
  }
}

/** 2. A device is held by at most one pod; an ENI is detached only when no pod holds it. */
function checkDevicesHaveOneHolder(installation: Installation, observer: Observer, held: readonly Held[]): void {
  const seen = new Map<string, string>()
  for (const { nodeName, pciAddress, pod } of held) {
    const device = `${nodeName} ${pciAddress}`
    assert.equal(seen.get(device), undefined, `invariant 2: ${device} is held by ${seen.get(device)} and ${pod}`)
    seen.set(device, pod)
    const card = installation
      .bus(nodeName)
      .cards()
      .find(({ bdf }) => bdf === pciAddress)
    assert.ok(card, `invariant 2: pod ${pod} holds ${device}, which is not plugged in`)
    const attachment = observer
      .allAttachments()
      .find(({ spec, status }) => spec.nodeName === nodeName && status?.eni?.mac === card.mac)
    assert.ok(attachment, `invariant 2: pod ${pod} holds ${device} (${card.mac}), which no ENIAttachment names`)
    const eni = installation.ec2.state.enis().find(({ eniId }) => eniId === attachment.status?.eni?.eniID)
    assert.equal(
      eni?.attachment?.instanceId,
      installation.instanceId(nodeName),
      `invariant 2: the ENI of ${device} is detached`,
    )
  }
}

/** 3. Every ENI with our tag belongs to one ENIAttachment, no ENI of ours is without tags, no ENIAttachment waits for ever. */
function checkEveryENIHasItsObject(installation: Installation, observer: Observer): void {
  const primaries = new Set(installation.primaryEnis)
  const owners = new Map<string, string>()
  for (const { eniId, tags } of installation.ec2.state.enis()) {
    if (primaries.has(eniId)) continue
    assert.ok(tags.has(clusterTag), `invariant 3: ${eniId} has no cluster tag`)
    assert.equal(tags.get(noManageTag), 'true', `invariant 3: VPC CNI may take ${eniId}`)
    const uid = tags.get(attachmentTag) ?? ''
    assert.equal(owners.get(uid), undefined, `invariant 3: ${eniId} and ${owners.get(uid)} belong to one ENIAttachment`)
    owners.set(uid, eniId)
    const owner = observer.allAttachments().find(({ metadata }) => metadata.uid === uid)
    assert.ok(owner, `invariant 3: ${eniId} belongs to no ENIAttachment`)
    assert.equal(owner.status?.eni?.eniID, eniId, `invariant 3: ${owner.metadata.name} does not name its ENI`)
  }
  for (const attachment of observer.allAttachments()) {
    const { metadata, spec, status } = attachment
    if (isDeleting(attachment)) {
      const used = spec.claim !== undefined || status?.device?.inUseBy !== undefined
      assert.ok(used, `invariant 3: ${metadata.name} waits for its release, but nobody uses it`)
    } else
      assert.equal(
        status?.eni?.attached,
        true,
        `invariant 3: ${metadata.name} was never attached: ${JSON.stringify(status)}`,
      )
  }
}

/** 4. At most one attachment per (instance, card, index); never above the type's limit. */
function checkSlots(installation: Installation): void {
  const slots = new Set<string>()
  for (const { eniId, attachment } of installation.ec2.state.enis()) {
    if (attachment === undefined) continue
    const slot = `${attachment.instanceId} card ${attachment.networkCard} index ${attachment.deviceIndex}`
    assert.ok(!slots.has(slot), `invariant 4: ${slot} has ${eniId} and another ENI`)
    slots.add(slot)
  }
  const refused = [...installation.ec2.calls].filter(({ error }) => error === 'AttachmentLimitExceeded')
  assert.deepEqual(refused, [], 'invariant 4: EC2 had to refuse an attach beyond the limit of an instance')
}

async function heldOn(installation: Installation, nodeName: string): Promise<Held[]> {
  const client = new PodResourcesClient(installation.cluster.node(nodeName).podResourcesSocket)
  try {
    const holders = await client.holders()
    return [...holders].flatMap(([key, { namespace, name }]) => {
      const resource = managed.find((candidate) => key.includes(candidate))
      if (resource === undefined) return []
      return [{ nodeName, resource, pciAddress: key.slice(-12), pod: `${namespace}/${name}` }]
    })
  } finally {
    client.close()
  }
}

export function demandOf({ limits }: ObservedPod): [string, number][] {
  return managed.flatMap((resource) => (limits[resource] === undefined ? [] : [[resource, Number(limits[resource])]]))
}
