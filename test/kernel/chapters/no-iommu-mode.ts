// A node without an IOMMU whose vfio can do without one: pods have their ENIs and move packets, each with its own group whatever number
// that has.
import assert from 'node:assert/strict'
import { before, it } from 'node:test'
import type { ENIAttachment } from '../../../src/api/eni-attachment.ts'
import type { GuestNode } from '../../../sim/cluster/node/guest-node.ts'
import { userPlane } from '../../cluster/upf-manifests.ts'
import { ContainerView } from '../container-view.ts'
import { eventually } from '../eventually.ts'
import { forwardsEveryFrame } from '../forwarding-check.ts'
import { preflightOn } from '../plugin-preflight.ts'
import { quietPod } from '../quiet-pod.ts'
import type { Stage } from '../stage.ts'
import { testpmdPod } from '../testpmd-pod.ts'

const nodeENI = 'user-plane'
const nodeName = 'able'
/** Behind the card of somebody else, which is where Nitro puts the first ENI after the primary one. */
const firstSlot = '0000:00:07.0'
const secondSlot = '0000:00:08.0'
/** What DPDK needs without an IOMMU: to lock memory, to open a group, and to see physical addresses. */
const ofDpdk = ['IPC_LOCK', 'SYS_RAWIO', 'SYS_ADMIN']

export function noIommuMode(stage: Stage): void {
  let able: GuestNode
  before(async () => {
    able = stage.node(nodeName)
    await stage.scenario.nodeENIReady(userPlane(nodeENI, { nodeSelector: { pool: 'user-plane' }, releaseAfter: '0s' }))
  })

  const released = async (...pods: string[]) => {
    const isTheirs = (one: ENIAttachment) => pods.some((podName) => isOf(one, podName))
    const names = stage.scenario
      .attachmentsOf(nodeENI)
      .filter(isTheirs)
      .map(({ metadata }) => metadata.name)
    await stage.scenario.deletePods(...pods)
    const left = () => stage.scenario.attachmentsOf(nodeENI).filter(({ metadata }) => names.includes(metadata.name))
    await stage.scenario.until('their ENIs released', () => left().length === 0)
  }

  const attachmentOf = (podName: string): ENIAttachment => {
    const found = stage.scenario.attachmentsOf(nodeENI).find((one) => isOf(one, podName))
    assert.ok(found, `pod ${podName} has an ENI`)
    return found
  }

  const isOf = ({ spec, status }: ENIAttachment, podName: string) =>
    (spec.claim?.name ?? status?.device?.inUseBy?.name) === podName

  /** Number of the card's group, and major and minor number of its device node. */
  const groupAt = async (pciAddress: string) => {
    const script = `number=$(basename $(readlink /sys/bus/pci/devices/${pciAddress}/iommu_group))
echo $number $(cat /sys/kernel/iommu_groups/$number/name) $(cat /sys/class/vfio/noiommu-$number/dev)`
    const [number = '', name, device = ''] = (await able.guest.script(script)).trim().split(' ')
    assert.equal(name, 'vfio-noiommu')
    return { number, device }
  }

  /** Its device nodes are that of vfio and that of its own card's group, by their numbers for the kernel. */
  const hasItsOwnGroup = async (podName: string) => {
    const { number, device } = await groupAt(attachmentOf(podName).status?.device?.pciAddress ?? '')
    const view = await ContainerView.of(stage.scenario, podName)
    assert.deepEqual(await view.devices(), [`/dev/vfio/${number}`, '/dev/vfio/vfio'], podName)
    assert.equal(await deviceNumbers(view, `/dev/vfio/${number}`), device, podName)
    return number
  }

  const onAble = (name: string, capabilities: readonly string[]) => quietPod(name, { capabilities, node: nodeName })

  it('a pod has its ENI from the first slot, and cannot open its group without CAP_SYS_RAWIO', async () => {
    await stage.scenario.apply(onAble('first', ['IPC_LOCK']))
    await stage.scenario.running('first')
    const { pciAddress, driver } = attachmentOf('first').status?.device ?? {}
    assert.deepEqual({ pciAddress, driver }, { pciAddress: firstSlot, driver: 'vfio-pci' })
    assert.equal(await hasItsOwnGroup('first'), '0')
    assert.equal((await able.guest.run('ls', ['/dev/vfio'])).trim(), 'noiommu-0\nvfio')
    assert.match(
      await opened(await ContainerView.of(stage.scenario, 'first'), '/dev/vfio/0'),
      /Operation not permitted/,
    )
  })

  it('another pod has another group, which CAP_SYS_RAWIO lets it open', async () => {
    await stage.scenario.apply(onAble('second', ['IPC_LOCK', 'SYS_RAWIO']))
    await stage.scenario.running('second')
    assert.equal(attachmentOf('second').status?.device?.pciAddress, secondSlot)
    const number = await hasItsOwnGroup('second')
    assert.equal(number, '1')
    assert.equal(await opened(await ContainerView.of(stage.scenario, 'second'), `/dev/vfio/${number}`), 'opened\n')
  })

  it('the number of a group that has gone is that of the next pod; a container that starts again has its own still', async () => {
    await released('first')
    await stage.scenario.apply(onAble('third', ['IPC_LOCK', 'SYS_RAWIO']))
    await stage.scenario.running('third')
    assert.equal(await hasItsOwnGroup('third'), '0')
    await startAgain('second')
    assert.equal(await hasItsOwnGroup('second'), '1')
  })

  it('after their cards were bound anew in another order, containers that start again have their own cards', async () => {
    const [second, third] = await Promise.all([groupAt(secondSlot), groupAt(firstSlot)])
    // The CDI spec, by which a container that starts finds its device, is put right some moments after.
    await able.guest.script(boundAnew([secondSlot, firstSlot]))
    assert.deepEqual(await groupAt(firstSlot), second)
    assert.deepEqual(await groupAt(secondSlot), third)
    await untilDescribed([firstSlot, second.number], [secondSlot, third.number])
    for (const podName of ['second', 'third']) await startAgain(podName)
    assert.equal(await hasItsOwnGroup('second'), third.number)
    assert.equal(await hasItsOwnGroup('third'), second.number)
    await stage.scenario.until('both devices advertised', () =>
      ['second', 'third'].every((podName) => attachmentOf(podName).status?.device?.advertised === true),
    )
  })

  it('a pod with the capabilities that DPDK needs forwards every frame between two ENIs', async (t) => {
    await released('second', 'third')
    await stage.scenario.apply(testpmdPod('forwarder', { enis: 2, capabilities: ofDpdk, nodeName }))
    await stage.scenario.running('forwarder')
    const enis = stage.scenario
      .attachmentsOf(nodeENI)
      .toSorted((a, b) => (a.status?.device?.pciAddress ?? '').localeCompare(b.status?.device?.pciAddress ?? ''))
    await forwardsEveryFrame(t, stage.scenario, { name: 'forwarder', node: able, enis })
    await released('forwarder')
    assert.equal((await able.guest.run('ls', ['/dev/vfio'])).trim(), 'vfio')
  })

  it('--check finds nothing bad about it', async () => {
    const { findings, passed } = await preflightOn(stage.scenario, able)
    assert.match(findings, /^good +IOMMU +none; the mode without IOMMU is on .*CAP_SYS_RAWIO/m)
    assert.ok(passed, findings)
  })

  /** Kills the first process of its container; resolves when the next one runs. */
  const startAgain = async (podName: string) => {
    const killed = await ContainerView.of(stage.scenario, podName)
    await killed.kill()
    await eventually(`another container of pod ${podName}`, async () => {
      if (stage.scenario.pod(podName)?.running !== true) return false
      return (await ContainerView.of(stage.scenario, podName)).id !== killed.id
    })
  }

  const untilDescribed = (...wanted: readonly (readonly [pciAddress: string, group: string])[]) =>
    eventually('the device plugin describes the cards by their new groups', async () => {
      const specs = await able.guest.script('cat /run/cdi/jit-eni-*.json')
      return wanted.every(([pciAddress, group]) =>
        new RegExp(`"name":"${pciAddress}"[^\\]]*/dev/vfio/noiommu-${group}"`).test(specs),
      )
    })
}

/** Major and minor number, as sysfs writes them. */
async function deviceNumbers(container: ContainerView, device: string): Promise<string> {
  const [major = '', minor = ''] = (await container.script(`stat -c '%t %T' ${device}`)).trim().split(' ')
  return `${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}`
}

/** "opened", or why not. */
async function opened(container: ContainerView, device: string): Promise<string> {
  return container.script(`exec 2>&1; (exec 3<>${device}) && echo opened || true`)
}

/** For the shell: all are taken from vfio-pci, then given to it again in this order. */
function boundAnew(pciAddresses: readonly string[]): string {
  const each = (line: (address: string) => string) => pciAddresses.map(line)
  return [
    'cd /sys/bus/pci',
    ...each((address) => `echo vfio-pci >devices/${address}/driver_override`),
    ...each((address) => `echo ${address} >drivers/vfio-pci/unbind`),
    ...each((address) => `echo ${address} >drivers_probe`),
    ...each((address) => `echo >devices/${address}/driver_override`),
  ].join('\n')
}
