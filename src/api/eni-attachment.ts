// ENIAttachment: one ENI from intent to release. It exists before the first EC2 call and outlives the last.
// spec is written by whoever asks, status.eni only by the attacher, status.device only by the node's device plugin.
import { createHash } from 'node:crypto'
import { z } from 'zod'

import { apiVersion, deviceFinalizer, eniFinalizer } from './names.ts'
import { metadataSchema } from './object-meta.ts'

/** RFC 3339 with milliseconds, so that the steps of one ENI explain its latency. */
const time = z.string().max(40).meta({ format: 'date-time' })

const claimSchema = z.object({
  namespace: z.string().min(1).max(63),
  name: z.string().min(1).max(253),
  uid: z.string().min(1).max(64),
})

export const attachmentSpecSchema = z
  .object({
    nodeENI: z.string().min(1).max(253),
    nodeName: z.string().min(1).max(253),
    instanceID: z
      .string()
      .regex(/^i-[0-9a-z]+$/)
      .max(64),
    resourceName: z.string().max(317).optional(),
    claim: claimSchema
      .optional()
      .meta({ description: 'The pod for which one device of (nodeName, resourceName) is reserved.' }),
  })
  .meta({
    'x-kubernetes-validations': [
      {
        rule: 'self.nodeENI == oldSelf.nodeENI && self.nodeName == oldSelf.nodeName && self.instanceID == oldSelf.instanceID && has(self.resourceName) == has(oldSelf.resourceName) && (!has(self.resourceName) || self.resourceName == oldSelf.resourceName)',
        message: 'nodeENI, nodeName, instanceID and resourceName are immutable',
      },
    ],
  })

/** A step that failed. `terminal` ends this attachment: its claim is freed and the pod goes elsewhere. */
const failureSchema = z.object({
  reason: z.string().max(128),
  message: z.string().max(1024),
  terminal: z.boolean(),
  /** Of the NodeENI by which it was judged. */
  observedGeneration: z.int32().min(0).optional(),
  time,
})

/** The attacher's part. What is planned (subnet, index, card, attempt) is stored before EC2 is called. */
export const eniStatusSchema = z.object({
  attempt: z.int32().min(0).optional(),
  subnetID: z.string().optional(),
  cidr: z.string().optional(),
  networkCard: z.int32().min(0).optional(),
  deviceIndex: z.int32().min(0).optional(),
  firstDeviceIndex: z
    .int32()
    .min(0)
    .optional()
    .meta({ description: 'deviceIndex of the NodeENI by which it was planned.' }),
  eniID: z.string().optional(),
  mac: z.string().optional(),
  addresses: z.array(z.string()).max(128).optional().meta({ 'x-kubernetes-list-type': 'atomic' }),
  attachmentID: z.string().optional(),
  attached: z.boolean().optional(),
  plannedTime: time.optional(),
  createdTime: time.optional(),
  attachCalledTime: time.optional(),
  attachedTime: time.optional(),
  idleSince: time.optional(),
  failure: failureSchema.optional(),
})

const holderSchema = z.object({ namespace: z.string(), name: z.string() })

/** The device plugin's part. `acknowledged` is the UID of the claim for which the kubelet was seen to have a free device. */
export const deviceStatusSchema = z.object({
  pciAddress: z.string().optional(),
  driver: z.string().optional(),
  interface: z.string().optional().meta({
    description:
      'Name that the interface of a kernel-bound ENI has now on the node, once it has been set up; absent while a pod has it.',
  }),
  health: z.enum(['Healthy', 'Unhealthy']).optional(),
  advertised: z.boolean().optional(),
  acknowledged: z.string().optional(),
  inUseBy: holderSchema.optional(),
  seenTime: time.optional(),
  boundTime: time.optional(),
  advertisedTime: time.optional(),
  acknowledgedTime: time.optional(),
  failure: failureSchema.optional(),
})

export const phases = ['Pending', 'Creating', 'Attaching', 'Attached', 'Ready', 'InUse', 'Releasing', 'Failed'] as const
export type Phase = (typeof phases)[number]

export const attachmentStatusSchema = z.object({
  phase: z.enum(phases).optional().meta({ description: 'One word for humans, derived from the rest.' }),
  eni: eniStatusSchema.optional(),
  device: deviceStatusSchema.optional(),
})

export const eniAttachmentSchema = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: metadataSchema,
  spec: attachmentSpecSchema,
  status: attachmentStatusSchema.optional(),
})

export type ENIAttachment = z.output<typeof eniAttachmentSchema>
export type AttachmentSpec = ENIAttachment['spec']
/** A node name comes back for other instances: only both say where. */
export type Place = Pick<AttachmentSpec, 'nodeName' | 'instanceID'>
export type Claim = NonNullable<AttachmentSpec['claim']>
export type EniStatus = z.output<typeof eniStatusSchema>
export type DeviceStatus = z.output<typeof deviceStatusSchema>
export type Failure = z.output<typeof failureSchema>

/** A hash of what makes the intent one of its kind: creating it twice is a 409, not a second ENI. */
export function attachmentName(nodeENI: string, parts: readonly (string | number)[]): string {
  const hash = createHash('sha256')
    .update([nodeENI, ...parts].join('\0'))
    .digest('hex')
    .slice(0, 10)
  // A cut name may end in a dot, which must not stand before the dash (RFC 1123).
  return `${nodeENI.slice(0, 200).replace(/[.-]+$/, '')}-${hash}`
}

/** The body that creates an intent. Both finalizers are there from birth, so that no crash can lose the ENI. */
export function newAttachment(name: string, spec: AttachmentSpec): object {
  return {
    apiVersion,
    kind: 'ENIAttachment',
    metadata: { name, finalizers: [deviceFinalizer, eniFinalizer] },
    spec,
  }
}

export function isDeleting(attachment: ENIAttachment): boolean {
  return attachment.metadata.deletionTimestamp !== undefined
}

/** No claim and no holder: the next pod may take it. */
export function isIdle(attachment: ENIAttachment): boolean {
  return attachment.spec.claim === undefined && attachment.status?.device?.inUseBy === undefined
}

/** The failure that ended this attachment, of either writer. */
export function terminalFailure(attachment: ENIAttachment): Failure | undefined {
  const { eni, device } = attachment.status ?? {}
  return [eni?.failure, device?.failure].find((failure) => failure?.terminal)
}

/** What somebody has moved to another instance takes nothing of this one; all else does from the intent on until it is gone. */
export function takesSlot(attachment: ENIAttachment): boolean {
  return terminalFailure(attachment)?.reason !== 'ENIMoved'
}

export function phaseOf(attachment: ENIAttachment): Phase {
  const { eni, device } = attachment.status ?? {}
  if (isDeleting(attachment)) return 'Releasing'
  if (terminalFailure(attachment) !== undefined) return 'Failed'
  if (device?.inUseBy !== undefined) return 'InUse'
  if (device?.advertised === true) return 'Ready'
  if (eni?.attached === true) return 'Attached'
  if (eni?.eniID !== undefined) return 'Attaching'
  if (eni?.subnetID !== undefined) return 'Creating'
  return 'Pending'
}
