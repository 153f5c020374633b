// EC2's answers checked and turned into our own words. In the SDK's types every field may be missing.
import { z } from 'zod'

import type { Eni, Instance, InstanceType, Subnet } from './ec2.ts'

/** By its prefix alone: what has another is not what was asked for, and nothing follows from it. */
const idOf = (prefix: string) => z.string().startsWith(`${prefix}-`)

const tagsSchema = z.array(z.object({ Key: z.string(), Value: z.string().default('') })).default([])

const eniSchema = z.object({
  NetworkInterfaceId: idOf('eni'),
  Status: z.string().default('pending'),
  MacAddress: z.string().default(''),
  SubnetId: z.string().default(''),
  PrivateIpAddresses: z.array(z.object({ PrivateIpAddress: z.string() })).default([]),
  Ipv6Addresses: z.array(z.object({ Ipv6Address: z.string() })).default([]),
  SourceDestCheck: z.boolean().default(true),
  Description: z.string().default(''),
  Groups: z.array(z.object({ GroupId: idOf('sg') })).default([]),
  TagSet: tagsSchema,
  Attachment: z
    .object({
      AttachmentId: z.string(),
      InstanceId: idOf('i').optional(),
      Status: z.string(),
      DeviceIndex: z.number(),
      NetworkCardIndex: z.number().default(0),
      DeleteOnTermination: z.boolean().default(false),
    })
    .optional(),
})

/** An empty list is there too: without one it is not the answer to this call. @throws ZodError that names it */
export function listFrom<T>(name: string, list: readonly T[] | undefined): readonly T[] {
  if (list !== undefined) return list
  throw new z.ZodError([{ code: 'custom', path: [name], message: 'is missing', input: list }])
}

const attachSchema = z.object({ AttachmentId: idOf('eni-attach') })

export function attachmentIDFrom(answer: unknown): string {
  return attachSchema.parse(answer).AttachmentId
}

export function eniFrom(answer: unknown): Eni {
  const eni = eniSchema.parse(answer)
  const { Attachment: attachment } = eni
  return {
    id: eni.NetworkInterfaceId,
    status: eni.Status,
    mac: eni.MacAddress.toLowerCase(),
    subnetID: eni.SubnetId,
    addresses: [
      ...eni.PrivateIpAddresses.map(({ PrivateIpAddress }) => PrivateIpAddress),
      ...eni.Ipv6Addresses.map(({ Ipv6Address }) => Ipv6Address),
    ],
    sourceDestCheck: eni.SourceDestCheck,
    description: eni.Description,
    securityGroupIDs: eni.Groups.map(({ GroupId }) => GroupId),
    tags: new Map(eni.TagSet.map(({ Key, Value }) => [Key, Value])),
    // Detached attachments disappear; one that still reads `detached` is as good as none.
    attachment:
      attachment === undefined || attachment.Status === 'detached'
        ? undefined
        : {
            id: attachment.AttachmentId,
            instanceID: attachment.InstanceId,
            status: attachment.Status,
            deviceIndex: attachment.DeviceIndex,
            networkCard: attachment.NetworkCardIndex,
            deleteOnTermination: attachment.DeleteOnTermination,
          },
  }
}

const instanceSchema = z.object({
  InstanceId: idOf('i'),
  InstanceType: z.string(),
  VpcId: z.string().default(''),
  State: z.object({ Name: z.string() }),
  Placement: z.object({ AvailabilityZone: z.string() }),
  BlockDeviceMappings: z.array(z.unknown()).default([]),
  NetworkInterfaces: z
    .array(
      z.object({
        NetworkInterfaceId: idOf('eni'),
        Attachment: z.object({ DeviceIndex: z.number(), NetworkCardIndex: z.number().default(0) }),
      }),
    )
    .default([]),
})

export function instanceFrom(answer: unknown): Instance {
  const instance = instanceSchema.parse(answer)
  return {
    id: instance.InstanceId,
    type: instance.InstanceType,
    state: instance.State.Name,
    vpcID: instance.VpcId,
    zone: instance.Placement.AvailabilityZone,
    volumes: instance.BlockDeviceMappings.length,
    interfaces: instance.NetworkInterfaces.map(({ NetworkInterfaceId, Attachment }) => ({
      eniID: NetworkInterfaceId,
      deviceIndex: Attachment.DeviceIndex,
      networkCard: Attachment.NetworkCardIndex,
    })),
  }
}

const instanceTypeSchema = z.object({
  InstanceType: z.string(),
  NetworkInfo: z.object({
    NetworkCards: z.array(z.object({ NetworkCardIndex: z.number(), MaximumNetworkInterfaces: z.number() })),
  }),
  EbsInfo: z
    .object({ AttachmentLimitType: z.string().optional(), MaximumEbsAttachments: z.number().optional() })
    .optional(),
})

export function instanceTypeFrom(answer: unknown): InstanceType {
  const { InstanceType: name, NetworkInfo, EbsInfo } = instanceTypeSchema.parse(answer)
  return {
    name,
    cards: NetworkInfo.NetworkCards.map((card) => ({
      index: card.NetworkCardIndex,
      maxInterfaces: card.MaximumNetworkInterfaces,
    })),
    sharedAttachments: sharedAttachmentsFrom(EbsInfo),
  }
}

/**
 * EC2 answers how many volumes fit beside the primary interface alone: 27, of 28 attachments in all (EC2 User Guide, "EBS volume
 * limits": "28 volumes - 1 network interface = 27").
 */
function sharedAttachmentsFrom(info: z.output<typeof instanceTypeSchema>['EbsInfo']): number | undefined {
  const { AttachmentLimitType, MaximumEbsAttachments } = info ?? {}
  if (AttachmentLimitType !== 'shared' || MaximumEbsAttachments === undefined) return undefined
  return MaximumEbsAttachments + 1
}

const subnetSchema = z.object({
  SubnetId: idOf('subnet'),
  AvailabilityZone: z.string(),
  VpcId: z.string(),
  CidrBlock: z.string(),
  AvailableIpAddressCount: z.number(),
})

export function subnetFrom(answer: unknown): Subnet {
  const subnet = subnetSchema.parse(answer)
  return {
    id: subnet.SubnetId,
    zone: subnet.AvailabilityZone,
    vpcID: subnet.VpcId,
    cidr: subnet.CidrBlock,
    freeAddresses: subnet.AvailableIpAddressCount,
  }
}
