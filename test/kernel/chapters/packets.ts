// Two pods with DPDK on a node with an IOMMU: each has the groups of its own cards and nothing else, with one capability, and forwards
// every packet.
import assert from 'node:assert/strict'
import { before, it } from 'node:test'
import type { ENIAttachment } from '../../../src/api/eni-attachment.ts'
import { environmentName } from '../../../src/device-plugin/allocation.ts'
import type { GuestNode } from '../../../sim/cluster/node/guest-node.ts'
import { dataplane, upfPod, userPlane } from '../../cluster/upf-manifests.ts'
import { ContainerView } from '../container-view.ts'
import { forwardsEveryFrame } from '../forwarding-check.ts'
import { type NodeTraces, nodeTraces } from '../node-traces.ts'
import type { Stage } from '../stage.ts'
import { testpmdPod } from '../testpmd-pod.ts'

const nodeName = 'node-a'
const nodeENI = 'user-plane'
/** Bits in the capability sets of proc(5) (include/uapi/linux/capability.h). */
const ipcLock = 1n << 14n
const mebibyte = 1024 * 1024

export function packets(stage: Stage): void {
  let forwarder: ContainerView
  let neighbour: ContainerView
  /** Of the forwarder, as DPDK numbers its ports: by PCI address (lib/bus/pci of DPDK). */
  let enis: readonly ENIAttachment[]
  let node: GuestNode
  before(async () => {
    const { scenario } = stage
    node = stage.node(nodeName)
    const untouched = await nodeTraces(node.guest)
    assertNoTraceOfENIs(untouched)
    await scenario.nodeENIReady(userPlane(nodeENI, { releaseAfter: '0s' }))
    await scenario.apply(testpmdPod('forwarder', { enis: 2 }), upfPod('neighbour'))
    await scenario.running('forwarder', 'neighbour')
    forwarder = await ContainerView.of(scenario, 'forwarder')
    neighbour = await ContainerView.of(scenario, 'neighbour')
    enis = enisOf('forwarder')
  })

  const enisOf = (podName: string) => {
    const uid = stage.scenario.pod(podName)?.uid
    return stage.scenario
      .attachmentsOf(nodeENI)
      .filter(({ spec }) => spec.claim?.uid === uid)
      .toSorted((a, b) => pciAddressOf(a).localeCompare(pciAddressOf(b)))
  }

  /** By sysfs. */
  const groupsOf = async (attachments: readonly ENIAttachment[]) => {
    const links = attachments.map((one) => `readlink /sys/bus/pci/devices/${pciAddressOf(one)}/iommu_group`)
    const targets = (await node.guest.script(links.join('\n'))).trim().split('\n')
    return targets.map((target) => `/dev/vfio/${target.split('/').at(-1)}`)
  }

  /** Major and minor number, in hexadecimal. */
  const numbersOf = async (devices: readonly string[]) => {
    return (await node.guest.run('stat', ['--format=%t %T', ...devices])).trim().split('\n')
  }

  it('has the IOMMU groups of its own cards and the vfio node, and no other device', async () => {
    const groups = await groupsOf(enis)
    assert.equal(new Set(groups).size, 2)
    assert.deepEqual(await forwarder.devices(), ['/dev/vfio/vfio', ...groups].toSorted())
    const inContainer = await forwarder.script(`stat -c '%t %T' ${groups.join(' ')}`)
    assert.deepEqual(inContainer.trim().split('\n'), await numbersOf(groups))
    assert.deepEqual(await neighbour.devices(), ['/dev/vfio/vfio', ...(await groupsOf(enisOf('neighbour')))].toSorted())
  })

  it('may lock memory and nothing else', async () => {
    const status = await forwarder.status()
    for (const set of ['CapEff', 'CapPrm', 'CapBnd']) assert.equal(BigInt(`0x${status.get(set)}`), ipcLock, set)
    assert.equal(status.get('NoNewPrivs'), '1')
    assert.match(await forwarder.script('grep " /sys " /proc/mounts'), /\bro\b/)
  })

  it('cannot make itself a way to the group of another pod, nor can that to its groups', async () => {
    const [group = ''] = await groupsOf(enis)
    const [otherGroup = ''] = await groupsOf(enisOf('neighbour'))
    const [numbers = '', otherNumbers = ''] = await numbersOf([group, otherGroup])
    assert.match(await opened(forwarder, otherNumbers), /mknod: .*Operation not permitted/)
    // By default a container may make device nodes: only its control group keeps it from those of others.
    assert.match(await opened(neighbour, numbers), /can't create .*Operation not permitted/)
    assert.equal(await opened(neighbour, otherNumbers), 'opened\n')
  })

  it('is told which cards and which ENIs it has', async () => {
    const environment = await forwarder.environment()
    const name = environmentName(dataplane)
    const addresses = environment.get(name)?.split(',') ?? []
    assert.deepEqual(addresses.toSorted(), enis.map(pciAddressOf))
    const groups = await groupsOf(enis)
    const told = JSON.parse(environment.get(`${name}_INFO`) ?? '') as Record<
      string,
      { vfio: object; eni: { mac: string } }
    >
    assert.deepEqual(
      enis.map((one) => ({ vfio: told[pciAddressOf(one)]?.vfio, mac: told[pciAddressOf(one)]?.eni.mac })),
      enis.map((one, index) => ({ vfio: { mount: '/dev/vfio/vfio', 'dev-mount': groups[index] }, mac: macOf(one) })),
    )
    const others = [...environment.keys()].filter((key) => key.startsWith('PCIDEVICE'))
    assert.deepEqual(others.toSorted(), [name, `${name}_INFO`])
  })

  it('has its huge pages from the kubelet', async () => {
    assert.match(await forwarder.script('grep " /dev/hugepages " /proc/mounts'), /hugetlbfs .*pagesize=2M/)
    // The kubelet limits the pod as a whole.
    const group = `/sys/fs/cgroup/kubepods/pod${stage.scenario.pod('forwarder')?.uid}/hugetlb.2MB`
    const [most, used] = (await node.guest.run('cat', [`${group}.max`, `${group}.current`]))
      .trim()
      .split('\n')
      .map(Number)
    assert.deepEqual({ most, used }, { most: 256 * mebibyte, used: 128 * mebibyte })
    assert.deepEqual((await nodeTraces(node.guest))['huge pages in use'], ['64'])
  })

  it('forwards every frame, as counted at the far ends of its cables and by itself', async (t) => {
    await forwardsEveryFrame(t, stage.scenario, { name: 'forwarder', node, enis })
  })
}

/** So that those which a pod leaves would be found. */
function assertNoTraceOfENIs(untouched: NodeTraces): void {
  assert.deepEqual(untouched['device nodes of vfio'], ['vfio'])
  const { 'PCI devices': devices, 'IOMMU groups': groups, 'members of IOMMU groups': members, ...others } = untouched
  assert.notDeepEqual([devices, groups, members], [[], [], []])
  for (const place of [
    'cards of vfio-pci',
    'driver overrides',
    'files of the device plugin',
    'CDI specs',
    'device-info files',
    'devices that the kubelet has given',
    'devices that the kubelet knows',
  ] as const) {
    assert.deepEqual(others[place], [], place)
  }
  assert.deepEqual(others['huge pages in use'], ['0'])
}

function pciAddressOf({ status }: ENIAttachment): string {
  return status?.device?.pciAddress ?? ''
}

function macOf({ status }: ENIAttachment): string {
  return status?.eni?.mac ?? ''
}

/** "opened", or why a device with these numbers cannot be made or not be opened in the container. */
async function opened(container: ContainerView, numbers: string): Promise<string> {
  const [major, minor] = numbers.split(' ').map((number) => Number.parseInt(number, 16))
  const script = [
    'exec 2>&1; node=/tmp/attempt; rm -f $node',
    `mknod $node c ${major} ${minor} || exit 0`,
    '(exec 3<>$node) && echo opened || true',
  ]
  return container.script(script.join('\n'))
}
