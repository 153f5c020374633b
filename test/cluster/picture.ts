// What an installation looks like from outside at one moment, as plain data: witness.ts takes it, invariants.ts judges it.
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import type { NodeENI } from '../../src/api/node-eni.ts'
import type { Demand } from '../../src/api/pod-demand.ts'
import type { Attachment, NetworkInterface } from '../../sim/ec2/state/network-interface.ts'
import type { InstalledCard } from '../../sim/installation/installation.ts'

export interface Picture {
  /** Those that ask for a managed resource. */
  readonly pods: readonly PicturedPod[]
  readonly nodeENIs: readonly PicturedNodeENI[]
  readonly attachments: readonly ENIAttachment[]
  /** All since the start: an object shows only its last one, and claims may move to another object. */
  readonly acknowledgements: readonly Acknowledgement[]
  /** What the kubelets list. */
  readonly held: readonly HeldDevice[]
  readonly nodes: readonly PicturedNode[]
  /** In EC2 now. */
  readonly enis: readonly PicturedENI[]
  /** The ENIs that were there before us, as they were then: the primary one of each instance, and those of others. */
  readonly foreign: readonly PicturedENI[]
  /** Instances to which EC2 refused an attach because their type allows no more. */
  readonly refusedAttaches: readonly string[]
}

export interface PicturedPod {
  /** With its namespace. */
  readonly name: string
  readonly uid: string
  readonly phase: string
  readonly demand: Demand
  readonly binding: Binding | undefined
}

export interface Binding {
  readonly nodeName: string
  /** When the API server received it; milliseconds since the epoch. */
  readonly receivedAt: number
}

export interface PicturedNodeENI {
  readonly metadata: Pick<NodeENI['metadata'], 'name'>
  readonly spec: Pick<NodeENI['spec'], 'maxPerNode'>
}

export interface Acknowledgement {
  /** UID of the ENIAttachment. */
  readonly attachment: string
  readonly resource: string
  readonly podUID: string
  /** By the device plugin's clock, which is the API server's here; milliseconds since the epoch. */
  readonly at: number
}

export interface HeldDevice {
  readonly nodeName: string
  readonly resource: string
  readonly pciAddress: string
  /** With its namespace; the kubelet lists no UIDs. */
  readonly pod: string
}

export interface PicturedNode {
  readonly name: string
  readonly instanceID: string
  /** ENIs that the instance type allows on each of its network cards. */
  readonly cardLimits: readonly number[]
  /** On its PCI bus. */
  readonly cards: readonly InstalledCard[]
}

export type PicturedENI = Pick<NetworkInterface, 'eniId' | 'mac' | 'tags'> & {
  readonly attachment?: Pick<Attachment, 'instanceId' | 'networkCard' | 'deviceIndex' | 'status' | 'stuck'>
}
