// What the attacher tells the extender about a node's ENI slots, in the node annotation `networking.k8s.aws/eni-capacity`.
import { z } from 'zod'

const cardSchema = z.object({
  index: z.int().min(0),
  /** ENIs that the instance type allows on this network card (EC2 DescribeInstanceTypes). */
  limit: z.int().min(0),
  /** ENIs on this card that are not ours: the primary one, VPC CNI's, anybody's. */
  foreign: z.int().min(0),
})

/** A NodeENI whose ENIs cannot work on this node, as its device plugin or EC2's attach found; another generation is tried anew. */
const refusedSchema = z.object({
  nodeENI: z.string(),
  generation: z.int(),
  /** Reason of the failure in the device status, such as PCIAddressMismatch or DriverMissing, or EC2's error code. */
  reason: z.string(),
  /** How often it has failed alike in a row; absent: once. */
  tries: z.int().min(1).max(1_000).optional(),
})

const nodeCapacitySchema = z.object({
  instanceID: z.string(),
  cards: z.array(cardSchema).max(64),
  /** Attachments left for ENIs of ours where the type shares one budget between ENIs, EBS volumes and NVMe disks. */
  shared: z.int().optional(),
  /** EC2 knows no instance type of this name, or shows none: there are no cards to count. */
  unknownType: z.literal(true).optional(),
  refused: z.array(refusedSchema).max(64).optional(),
  /** Start of the node (Node.status.nodeInfo.bootID) in which they were refused: after another, what can be mended is tried anew. */
  bootID: z.string().optional(),
})

export type RefusedNodeENI = z.output<typeof refusedSchema>
export type NodeCapacity = z.output<typeof nodeCapacitySchema>

/** undefined when the annotation is absent or is not what the attacher writes. */
export function parseNodeCapacity(annotation: string | undefined): NodeCapacity | undefined {
  if (annotation === undefined) return undefined
  try {
    return nodeCapacitySchema.safeParse(JSON.parse(annotation)).data
  } catch {
    return undefined
  }
}

/** ENIs of ours that the network cards can hold in all. */
export function slotsOnCards({ cards }: NodeCapacity): number {
  return cards.reduce((sum, card) => sum + Math.max(0, card.limit - card.foreign), 0)
}

/** ENIs of ours that the node can hold in all. */
export function slotsFor(capacity: NodeCapacity): number {
  const onCards = slotsOnCards(capacity)
  return Math.max(0, Math.min(onCards, capacity.shared ?? onCards))
}
