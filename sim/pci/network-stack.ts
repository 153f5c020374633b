// What the kernel's network stack does for the interfaces of a node's cards. Two of them: simulated-stack.ts keeps all in
// memory, veth-stack.ts has real links in a network namespace of the node.
import type { HostLinks } from '../../src/device-plugin/host-links.ts'
import type { PluggedCard } from './card.ts'

/** The primary comes up with the machine, addressed by DHCP, whose answer sets the MTU; a later card stays down. */
export interface NewInterface {
  readonly isUp: boolean
  readonly mtu: number
}

/** How an interface is when its pod gives it back; what is left out is as it was. */
export interface GivenBack {
  readonly name?: string
  readonly mtu?: number
  /** A CNI that knows alternative names may take them away. */
  readonly dropsAltNames?: boolean
}

export interface NetworkStack {
  /** What a program on the node sees and changes. */
  readonly links: HostLinks
  readonly start: () => Promise<void>
  /** register_netdev(): the interface gets the lowest free name eth<N>. */
  readonly register: (card: PluggedCard, fresh: NewInterface) => void
  /** unregister_netdev(), in whatever network namespace it is. */
  readonly unregister: (card: PluggedCard) => void
  /** `busy`: somebody has set it up already, and this kernel renames none that is up (EBUSY). */
  readonly rename: (card: PluggedCard, to: string) => 'renamed' | 'busy'
  /** In its full form, without a prefix length. */
  readonly addAddress: (card: PluggedCard, address: string) => void
  /** A CNI puts it into the network namespace of a pod, under the name that it has there. */
  readonly moveToPod: (card: PluggedCard, nameInPod: string) => void
  /** The CNI at the end of the pod; without one the kernel puts it back, down and under the name that it had in the pod. */
  readonly moveBack: (card: PluggedCard, given: GivenBack) => void
  /** A link in the network namespace of a pod, up, stands on it from now on: macvlan or ipvlan. */
  readonly shareWithPod: (card: PluggedCard, nameInPod: string) => void
  readonly endShare: (card: PluggedCard, nameInPod: string) => void
  readonly stop: () => void
}
