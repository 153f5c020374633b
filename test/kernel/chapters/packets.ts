// A node with an IOMMU on a real kernel: ENIs come for a pod as PCI cards, go to vfio-pci and into the pod with nothing else, move its
// packets, and go away again without a trace, however often.
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import { environmentName } from '../../src/device-plugin/allocation.ts'
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import { cardStatistics, type PortPackets } from '../../sim/guest/testpmd-output.ts'
import type { Scenario } from '../cluster/scenario.ts'
import { dataplane, upfPod, userPlane } from '../cluster/upf-manifests.ts'
import { CardHistory } from './card-history.ts'
import { ContainerView } from './container-view.ts'
import { type ENIRound, eniRound } from './eni-round.ts'
import { firstForwarded, FrameCount, type FramesPath } from './forwarded-frames.ts'
import { endGuests, guestNode, metal, noGuests, startGuests } from './guests.ts'
import { kernelWarnings } from './kernel-warnings.ts'
import { type NodeTraces, nodeTraces } from './node-traces.ts'
import { type PluginProcess, pluginProcess } from './plugin-process.ts'
import { roundsTable } from './rounds-table.ts'
import { testpmdPod } from './testpmd-pod.ts'

const nodeENI = 'user-plane'
/** Bits in the capability sets of proc(5) (include/uapi/linux/capability.h). */
const ipcLock = 1n << 14n
const mebibyte = 1024 * 1024
const statisticsPollMs = 500
const statisticsPolls = 60
const roundsAtOneSlot = 20
const lookEvery = 5
/** What the device plugin's process may have more at the end: one file in each second round would be as much. */
const moreFiles = roundsAtOneSlot / 2
const moreResidentMiB = 24

describe('a node with an IOMMU', { skip: noGuests }, () => {
  let scenario: Scenario
  let node: GuestNode
  let history: CardHistory
  let untouched: NodeTraces
  before(async () => {
    scenario = await startGuests(guestNode('node-a', metal))
    node = scenario.installation.cluster.guest('node-a')
    history = await CardHistory.start(node.guest)
    await scenario.nodeENIReady(userPlane(nodeENI, { releaseAfter: '0s' }))
    await scenario.nodeShows(node.name, 0)
    untouched = await nodeTraces(node.guest)
  })
  afterEach(() => scenario.check())
  after(() => endGuests(scenario))

  const released = async (...pods: string[]) => {
    await scenario.deletePods(...pods)
    await scenario.until('all ENIs released', () => scenario.attachmentsOf(nodeENI).length === 0)
    await scenario.nodeShows(node.name, 0)
  }

  it('has no trace of an ENI before the first one', () => {
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
  })

  describe('a pod that forwards packets between two ENIs, beside one with another ENI', () => {
    let forwarder: ContainerView
    let neighbour: ContainerView
    /** Of the forwarder, as DPDK numbers its ports: by PCI address (lib/bus/pci of DPDK). */
    let enis: readonly ENIAttachment[]
    before(async () => {
      await scenario.apply(testpmdPod('forwarder', { enis: 2 }), upfPod('neighbour'))
      await scenario.running('forwarder', 'neighbour')
      forwarder = await ContainerView.of(scenario, 'forwarder')
      neighbour = await ContainerView.of(scenario, 'neighbour')
      enis = enisOf('forwarder')
    })

    const enisOf = (podName: string) => {
      const uid = scenario.pod(podName)?.uid
      return scenario
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
      assert.deepEqual(
        await neighbour.devices(),
        ['/dev/vfio/vfio', ...(await groupsOf(enisOf('neighbour')))].toSorted(),
      )
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
      const group = `/sys/fs/cgroup/kubepods/pod${scenario.pod('forwarder')?.uid}/hugetlb.2MB`
      const [most, used] = (await node.guest.run('cat', [`${group}.max`, `${group}.current`]))
        .trim()
        .split('\n')
        .map(Number)
      assert.deepEqual({ most, used }, { most: 256 * mebibyte, used: 128 * mebibyte })
      assert.deepEqual((await nodeTraces(node.guest))['huge pages in use'], ['64'])
    })

    it('forwards every frame, as counted at the far ends of its cables and by itself', async (t) => {
      const [first, second] = enis.map((one) => ({ wire: node.cards.wire(macOf(one)), to: macOf(one) }))
      assert.ok(first !== undefined && second !== undefined)
      const there: FramesPath = { into: first.wire, to: first.to, outOf: second.wire }
      const back: FramesPath = { into: second.wire, to: second.to, outOf: first.wire }
      using forth = new FrameCount(there)
      using home = new FrameCount(back)
      await firstForwarded(there)
      await firstForwarded(back)
      // Not as many in both directions, so that one cannot be taken for the other.
      const [sentForth, sentHome] = [12_000, 8_000]
      await Promise.all([forth.send(sentForth), home.send(sentHome)])
      const ports = await portsHaveSent([home.total, forth.total])
      t.diagnostic(`${sentForth} frames sent into port 0, ${forth.came.size} came out of port 1`)
      t.diagnostic(`${sentHome} frames sent into port 1, ${home.came.size} came out of port 0`)
      for (const port of ports) t.diagnostic(`testpmd: ${JSON.stringify(port)}`)
      for (const [count, sent] of [
        [forth, sentForth],
        [home, sentHome],
      ] as const) {
        assert.equal(count.came.size, sent)
        assert.ok(
          [...count.came.values()].every((times) => times === 1),
          'each came once',
        )
      }
      // Also those that were sent to see whether it forwards.
      assert.deepEqual(ports, [
        { port: 0, received: forth.total, lost: 0, sent: home.total, unsent: 0 },
        { port: 1, received: home.total, lost: 0, sent: forth.total, unsent: 0 },
      ])
    })

    it('leaves no trace on the node when both have gone', async () => {
      await scenario.check()
      await released('forwarder', 'neighbour')
      assert.deepEqual(await nodeTraces(node.guest), untouched)
    })

    /** It shows its counters each second. */
    const portsHaveSent = async (sent: readonly number[]): Promise<PortPackets[]> => {
      for (let poll = 0; ; poll++) {
        const ports = cardStatistics(await scenario.kubectl('logs', 'forwarder', '--tail=60'))
        if (sent.every((count, port) => ports[port]?.sent === count) || poll === statisticsPolls) return ports
        await delay(statisticsPollMs)
      }
    }
  })

  describe(`${roundsAtOneSlot} pods, each with an ENI of its own, one after the other`, () => {
    const done: ENIRound[] = []
    const processes: PluginProcess[] = []

    const round = async (number: number) => {
      done.push(await eniRound(scenario, { node, history, podName: `round-${number}`, nodeENI }))
      if (number !== 1 && number % lookEvery !== 0) return
      assert.deepEqual(await nodeTraces(node.guest), untouched, `after round ${number}`)
      processes.push(await pluginProcess(node.guest))
    }

    it('each of them runs and leaves no trace on the node', async () => {
      for (let number = 1; number <= roundsAtOneSlot; number++) await round(number)
    })

    it('each card came, went to vfio-pci, back to its kernel driver and away, always at the same slot', () => {
      for (const { history: events } of done) {
        assert.deepEqual(
          events.map(({ action, driver }) => [action, driver].join(' ').trim()),
          ['add', 'bind e1000e', 'unbind', 'bind vfio-pci', 'unbind', 'bind e1000e', 'unbind', 'remove'],
        )
      }
      assert.equal(new Set(done.map(({ pciAddress }) => pciAddress)).size, 1)
    })

    it('prints how long each step took', (t) => {
      for (const line of roundsTable(done)) t.diagnostic(line)
      for (const { attach, clockErrorMs } of done) {
        for (const [step, ms] of Object.entries(attach)) assert.ok(ms >= -clockErrorMs, `${step}: ${ms} ms`)
      }
    })

    it('the device plugin is the same process, with no more files, children and memory', (t) => {
      for (const process of processes) t.diagnostic(JSON.stringify(process))
      const [first, last] = [processes[0], processes.at(-1)]
      assert.ok(first !== undefined && last !== undefined)
      assert.equal(new Set(processes.map(({ pid }) => pid)).size, 1)
      assert.equal(last.children, first.children)
      assert.ok(last.files - first.files < moreFiles, `${last.files} files after ${first.files}`)
      assert.ok(
        last.residentMiB - first.residentMiB < moreResidentMiB,
        `${last.residentMiB} MiB after ${first.residentMiB}`,
      )
    })

    it('the kernel has found nothing wrong', async (t) => {
      const { all, grave } = await kernelWarnings(node.guest)
      for (const line of all) t.diagnostic(line)
      assert.deepEqual(grave, [])
    })
  })
})

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
