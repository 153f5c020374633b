// A small picture in which all is well, hand-made, with its parts at hand so that a test can change one of them.
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import { attachmentTag, clusterTag, noManageTag } from '../../src/api/names.ts'
import type { Acknowledgement, HeldDevice, Picture, PicturedENI, PicturedNode, PicturedPod } from './picture.ts'

export const resource = 'intel.com/upf_dataplane'

/** No part is read-only. */
type Draft<T> =
  T extends ReadonlyMap<infer Key, infer Value>
    ? Map<Key, Value>
    : T extends readonly (infer Item)[]
      ? Draft<Item>[]
      : T extends object
        ? { -readonly [Key in keyof T]: Draft<T[Key]> }
        : T

/** One node with its primary ENI, one that a pod holds, and an idle one. */
export function goodPicture() {
  const pod: Draft<PicturedPod> = {
    name: 'default/upf',
    uid: 'pod-1',
    phase: 'Running',
    demand: new Map([[resource, 1]]),
    binding: { nodeName: 'node-a', receivedAt: 2000 },
  }
  const acknowledgement: Draft<Acknowledgement> = { attachment: 'uid-1', resource, podUID: pod.uid, at: 2000 }
  const held: HeldDevice = { nodeName: 'node-a', resource, pciAddress: '0000:00:06.0', pod: pod.name }
  const used = attachment(1)
  used.spec.claim = { namespace: 'default', name: 'upf', uid: pod.uid }
  used.status = { ...used.status, device: { inUseBy: { namespace: 'default', name: 'upf' } } }
  const idle = attachment(2)
  const nodeENI: { metadata: { name: string }; spec: { maxPerNode?: number } } = {
    metadata: { name: 'user-plane' },
    spec: { maxPerNode: 2 },
  }
  const primaryCard: Draft<PicturedNode['cards'][number]> = { bdf: '0000:00:05.0', mac: macOf(0), driver: 'ena' }
  const node: Draft<PicturedNode> = {
    name: 'node-a',
    instanceID: 'i-1',
    cardLimits: [3],
    cards: [
      primaryCard,
      { bdf: '0000:00:06.0', mac: macOf(1), driver: 'vfio-pci' },
      { bdf: '0000:00:07.0', mac: macOf(2), driver: 'vfio-pci' },
    ],
  }
  const primary = eni(0)
  const usedENI = { ...eni(1), tags: tagsOf(1) }
  const idleENI = { ...eni(2), tags: tagsOf(2) }
  const picture: Draft<Picture> = {
    pods: [pod],
    nodeENIs: [nodeENI],
    attachments: [used, idle],
    acknowledgements: [acknowledgement],
    held: [held],
    nodes: [node],
    enis: [primary, usedENI, idleENI],
    foreign: [eni(0)],
    refusedAttaches: [],
  }
  return { picture, pod, acknowledgement, held, used, idle, nodeENI, primaryCard, node, primary, usedENI, idleENI }
}

/** For eni-N. */
export function attachment(number: number): Draft<ENIAttachment> {
  return {
    apiVersion: 'networking.k8s.aws/v1alpha1',
    kind: 'ENIAttachment',
    metadata: { name: `user-plane-${number}`, uid: `uid-${number}`, resourceVersion: '1' },
    spec: { nodeENI: 'user-plane', nodeName: 'node-a', instanceID: 'i-1', resourceName: resource },
    status: { eni: { eniID: `eni-${number}`, mac: macOf(number), attached: true } },
  }
}

/** Not ours: without tags, attached at index N. */
export function eni(number: number): Draft<PicturedENI> {
  return { eniId: `eni-${number}`, mac: macOf(number), tags: new Map(), attachment: slot(number) }
}

export function slot(deviceIndex: number): Draft<NonNullable<PicturedENI['attachment']>> {
  return { instanceId: 'i-1', networkCard: 0, deviceIndex, status: 'attached', stuck: false }
}

/** Of the ENI of ENIAttachment uid-N. */
export function tagsOf(number: number): Map<string, string> {
  return new Map([
    [clusterTag, 'test'],
    [noManageTag, 'true'],
    [attachmentTag, `uid-${number}`],
  ])
}

export function macOf(number: number): string {
  return `02:00:00:00:00:0${number}`
}
