// A container of a pod on a guest, as the guest's kernel has it.
import type { V1Pod } from '@kubernetes/client-node'
import path from 'node:path'
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import type { Observer } from '../../sim/installation/observer.ts'
import { podPath } from '../../src/kube/resource.ts'

interface Reported {
  readonly id: string
  readonly restarts: number
}

export interface GuestContainer extends Reported {
  /** Of its first process, in the guest. */
  readonly pid: string
}

export interface VfioGroup {
  readonly path: string
  /** Major and minor number, hexadecimal. */
  readonly device: string
}

interface PodName {
  readonly namespace: string
  readonly name: string
}

/** What the kubelet has reported of it, which asks nothing of the guest. */
export async function reportedContainerOf({ api }: Observer, { namespace, name }: PodName): Promise<Reported> {
  const { status } = await api.request<V1Pod>('GET', podPath(namespace, name))
  const [container] = status?.containerStatuses ?? []
  return { id: container?.containerID?.replace(/^.*:\/\//, '') ?? '', restarts: container?.restartCount ?? 0 }
}

/** @throws when it does not run. */
export async function containerOf(observer: Observer, node: GuestNode, pod: PodName): Promise<GuestContainer> {
  const reported = await reportedContainerOf(observer, pod)
  const task = (await node.ctr(['tasks', 'ls'])).split('\n').find((line) => line.startsWith(reported.id))
  const [, pid, state] = task?.split(/\s+/) ?? []
  if (reported.id === '' || pid === undefined || state !== 'RUNNING') {
    throw new Error(`pod ${pod.namespace}/${pod.name} has no container that runs: ${JSON.stringify(reported)}, ${task}`)
  }
  return { ...reported, pid }
}

/** PCI addresses that the container was told. */
export async function cardsToldTo(node: GuestNode, { pid }: GuestContainer, variable: string): Promise<string[]> {
  const environment = await node.guest.run('cat', [`/proc/${pid}/environ`])
  const found = environment.split('\0').find((entry) => entry.startsWith(`${variable}=`))
  return found?.slice(variable.length + 1).split(',') ?? []
}

/** The groups of which the container has the device node, by path. */
export async function groupsIn(node: GuestNode, { pid }: GuestContainer): Promise<VfioGroup[]> {
  return nodesBelow(node, `/proc/${pid}/root`, '/dev/vfio/[0-9]*')
}

/** Those of the cards, as the kernel numbers them now; all must be bound. */
export async function groupsOf(node: GuestNode, pciAddresses: readonly string[]): Promise<VfioGroup[]> {
  const paths = await groupPathsOf(node, pciAddresses)
  return (await Promise.all(paths.map((one) => nodesBelow(node, '', one)))).flat()
}

/** Also of cards that are not bound. */
export async function groupPathsOf(node: GuestNode, pciAddresses: readonly string[]): Promise<string[]> {
  const links = pciAddresses.map((address) => `/sys/bus/pci/devices/${address}/iommu_group`)
  const targets = (await node.guest.run('readlink', links)).trim().split('\n')
  return targets.map((target) => `/dev/vfio/${path.basename(target)}`).toSorted()
}

async function nodesBelow(node: GuestNode, root: string, pattern: string): Promise<VfioGroup[]> {
  const output = await node.guest.script(`stat -c '%n %t:%T' ${root}${pattern}`)
  return output
    .trim()
    .split('\n')
    .map((line) => {
      const [name = '', device = ''] = line.split(' ')
      return { path: name.slice(root.length), device }
    })
    .toSorted((a, b) => (a.path < b.path ? -1 : 1))
}
