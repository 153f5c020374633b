// What `--check` prints of nodes of several kinds, and with which code it ends. Paths of the simulated node begin with NODE.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

import { startKubelet } from '../../sim/kubelet/kubelet.ts'
import { type PciBus, startPciBus } from '../../sim/pci/bus.ts'
import type { IommuMode } from '../../sim/pci/vfio-driver.ts'
import { checkCommand } from '../../src/device-plugin/preflight/command.ts'
import { isGood, type Preflight, preflight } from '../../src/device-plugin/preflight/preflight.ts'
import { preflightText } from '../../src/device-plugin/preflight/text.ts'
import type { HostLinks } from '../../src/device-plugin/host-links.ts'
import { allowedDevices, enaDevices } from '../../src/device-plugin/allowed-devices.ts'
import { cardAt, entryFor } from './cards.ts'

const mac = '02:00:00:00:00:66'
const release = '6.1.0-test'

interface Machine {
  readonly root: string
  readonly bus: PciBus
  readonly check: (links?: Pick<HostLinks, 'show'>) => Promise<Preflight>
  readonly put: (path: string, text: string | Buffer) => void
  readonly remove: (path: string) => void
}

/** A node with its primary card and one more, and hugepages. */
async function machine(t: TestContext, iommu: IommuMode): Promise<Machine> {
  const root = mkdtempSync('/tmp/jc-')
  const bus = await startPciBus({ root, iommu, primaryMac: '02:00:00:00:00:01' })
  t.after(() => rmSync(root, { recursive: true, force: true }))
  await bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  // From here on it is a tree of plain files, which a test may change.
  bus.stop()
  const put = (path: string, text: string | Buffer) => {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  for (const [size, total] of [
    ['2048', '512'],
    ['1048576', '4'],
  ] as const) {
    put(`sys/kernel/mm/hugepages/hugepages-${size}kB/nr_hugepages`, `${total}\n`)
    put(`sys/kernel/mm/hugepages/hugepages-${size}kB/free_hugepages`, '2\n')
  }
  const check = (links: Pick<HostLinks, 'show'> = bus.links) =>
    preflight({
      sys: join(root, 'sys'),
      dev: join(root, 'dev'),
      proc: join(root, 'proc'),
      devicePluginsDir: join(root, 'k/device-plugins'),
      podResourcesSocket: join(root, 'k/pod-resources/kubelet.sock'),
      stateDir: join(root, 'state'),
      allowedDevices: allowedDevices.parse(enaDevices),
      links,
      ownDirectories: { 'state directory': join(root, 'state') },
      libModules: join(root, 'lib/modules'),
      boot: join(root, 'boot'),
      release,
    })
  return { root, bus, check, put, remove: (path) => rmSync(join(root, path), { recursive: true }) }
}

const findingOf = ({ findings }: Preflight, what: string) => {
  const { verdict, found, advice } = findings.find((one) => one.what === what) ?? assert.fail(`no finding ${what}`)
  return advice === undefined ? `${verdict}: ${found}` : `${verdict}: ${found} -> ${advice}`
}
const secondCard = ({ cards }: Preflight) => cards[1] ?? assert.fail('there is no second card')

test('a node with an IOMMU and a kubelet: nothing is bad, the primary is left alone, the other card would be used', async (t) => {
  const node = await machine(t, 'vfio')
  const kubelet = await startKubelet({ dir: join(node.root, 'k'), podSourceDelayMs: 0 })
  t.after(() => kubelet.close())
  const report = await node.check()
  assert.equal(
    preflightText(report).replaceAll(node.root, 'NODE'),
    `kernel 6.1.0-test

good  vfio-pci                        loaded
good  igb_uio                         loaded
good  IOMMU                           dmar0
good  hugepages of 2 MB               2 free of 512
good  hugepages of 1 GB               2 free of 4
note  write combining                 debugfs is not to be read from here
                                      -> without it ENA is slow with DPDK from the 6th generation on: get-vfio-with-wc.sh of amzn-drivers
good  network interfaces              2 shown by ip
good  the kubelet's plugin directory  NODE/k/device-plugins
good  the kubelet's registry          NODE/k/device-plugins/kubelet.sock
good  the kubelet's PodResources      NODE/k/pod-resources/kubelet.sock
good  state directory                 NODE/state, will be made

card          id         driver  MAC                interface  group  NUMA
0000:00:05.0  1d0f:ec20  ena     02:00:00:00:00:01  ens5       0      -
  with enableDPDK:    refused, InterfaceInUse: interface ens5 of 0000:00:05.0 has a route or an IPv6 address of the node itself; it is left alone
  without enableDPDK: refused, InterfaceInUse: interface ens5 of 0000:00:05.0 has a default route; it is left alone
0000:00:06.0  1d0f:ec20  ena     02:00:00:00:00:66  ens6       1      -
  with enableDPDK:    would be bound to vfio-pci
  without enableDPDK: would be used with its driver ena, its interface ens6 set up

nothing is bad
`,
  )
  assert.ok(isGood(report))
})

test('the directory of the kubelet is for the kubelet to make: where it is not, the device plugin would not start', async (t) => {
  const node = await machine(t, 'vfio')
  const report = await node.check()
  assert.match(
    findingOf(report, "the kubelet's plugin directory"),
    /^note: there is no \S+\/k\/device-plugins: no kubelet has run here, or it is not mounted; the device plugin needs it$/,
  )
  assert.ok(isGood(report), 'an image for nodes is made before there is a kubelet')
})

test('without an IOMMU, with the mode without one switched on', async (t) => {
  const report = await (await machine(t, 'noiommu')).check()
  assert.match(findingOf(report, 'IOMMU'), /^good: none; the mode without IOMMU is on/)
  assert.equal(secondCard(report).withDPDK, 'would be bound to vfio-pci')
  assert.ok(isGood(report))
})

test('without an IOMMU and with that mode off: says how to switch it on, and that a bind would be refused', async (t) => {
  const node = await machine(t, 'noiommu')
  node.remove('sys/bus/pci/drivers/igb_uio')
  node.put('sys/module/vfio/parameters/enable_unsafe_noiommu_mode', 'N\n')
  const report = await node.check()
  assert.match(findingOf(report, 'IOMMU'), /^bad: none, and the mode without IOMMU is off -> echo 1 >/)
  assert.match(secondCard(report).withDPDK, /^would be bound to vfio-pci, which the kernel would refuse/)
  assert.equal(isGood(report), false)
})

test('a stock kernel that is built without that mode', async (t) => {
  const node = await machine(t, 'none')
  node.remove('sys/bus/pci/drivers/igb_uio')
  const report = await node.check()
  assert.match(
    findingOf(report, 'IOMMU'),
    /^bad: .* built without CONFIG_VFIO_NOIOMMU -> use an instance with an IOMMU/,
  )
  node.put('sys/bus/pci/drivers/igb_uio/bind', '')
  assert.ok(isGood(await node.check()), 'igb_uio needs none of it')
})

test('nothing is loaded: the modules and the configuration of the kernel say what it could do', async (t) => {
  const node = await machine(t, 'noiommu')
  for (const path of ['bus/pci/drivers/vfio-pci', 'bus/pci/drivers/igb_uio', 'module/vfio']) node.remove(`sys/${path}`)
  const unseen = await node.check()
  assert.match(findingOf(unseen, 'vfio-pci'), /^bad: not loaded -> modprobe vfio-pci/)
  assert.match(findingOf(unseen, 'IOMMU'), /^bad: .* not to be seen before vfio is loaded/)
  assert.match(secondCard(unseen).withDPDK, /^refused, DriverMissing/)
  assert.equal(secondCard(unseen).withoutDPDK, 'would be used with its driver ena, its interface ens6 set up')

  node.put(
    `lib/modules/${release}/modules.dep`,
    'kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/vfio.ko.xz\n',
  )
  node.put(`boot/config-${release}`, 'CONFIG_VFIO=m\nCONFIG_VFIO_NOIOMMU=y\n')
  const seen = await node.check()
  assert.match(findingOf(seen, 'vfio-pci'), /^bad: not loaded; the kernel has the module/)
  assert.match(findingOf(seen, 'IOMMU'), /^bad: .* can do without .* -> modprobe vfio enable_unsafe_noiommu_mode=1/)

  node.put(`lib/modules/${release}/modules.dep`, 'kernel/drivers/net/ena.ko:\n')
  node.put('proc/config.gz', gzipSync('# CONFIG_VFIO_NOIOMMU is not set\n'))
  const stock = await node.check()
  assert.match(findingOf(stock, 'vfio-pci'), /^bad: the kernel has no such module/)
  assert.match(findingOf(stock, 'IOMMU'), /^bad: .* built without CONFIG_VFIO_NOIOMMU/)
})

test('without hugepages it says so, and that DPDK needs them', async (t) => {
  const node = await machine(t, 'vfio')
  for (const size of ['2048', '1048576']) node.put(`sys/kernel/mm/hugepages/hugepages-${size}kB/nr_hugepages`, '0\n')
  assert.match(findingOf(await node.check(), 'hugepages of 2 MB'), /^note: 2 free of 0 -> DPDK needs hugepages/)
})

test('write combining is told of cards that DPDK has mapped, by both kernels of the list', async (t) => {
  const node = await machine(t, 'vfio')
  const region = '0x00000000fd000000 0x00000000fd1fffff 0x000000000014220c\n'
  const registers = '0x00000000fe000000 0x00000000fe003fff 0x0000000000040200\n'
  node.put('sys/bus/pci/devices/0000:00:06.0/resource', registers + region)
  const list = (lines: string) => node.put('sys/kernel/debug/x86/pat_memtype_list', `PAT memtype list:\n${lines}`)
  list('PAT: [mem 0x00000000fe000000-0x00000000fe004000] uncached-minus\n')
  assert.match(findingOf(await node.check(), 'write combining'), /^note: no card is mapped now/)
  list('PAT: [mem 0x00000000fd000000-0x00000000fd200000] write-combining\n')
  assert.equal(findingOf(await node.check(), 'write combining of 0000:00:06.0'), 'good: on')
  list('uncached-minus @ 0xfd000000-0xfd200000\n')
  assert.match(findingOf(await node.check(), 'write combining of 0000:00:06.0'), /^note: off \(uncached-minus\) -> /)
})

test('an interface that carries another one is left alone', async (t) => {
  const node = await machine(t, 'vfio')
  const links = await node.bus.links.show()
  assert.ok(links.kind === 'shown')
  const used = links.links.map((link) => (link.mac === mac ? { ...link, uppers: ['vlan7'] } : link))
  const report = await node.check({ show: () => Promise.resolve({ kind: 'shown', links: used }) })
  assert.match(secondCard(report).withDPDK, /^refused, InterfaceInUse: interface ens6 of 0000:00:06.0 carries vlan7/)
  assert.match(secondCard(report).withoutDPDK, /carries vlan7/)
  const unknown = await node.check({ show: () => Promise.resolve({ kind: 'failed', message: 'ip: not found' }) })
  assert.match(findingOf(unknown, 'network interfaces'), /^bad: ip: not found -> install iproute2/)
})

test('no kubelet is no fault, and the check connects to nothing else', async (t) => {
  const node = await machine(t, 'vfio')
  const report = await node.check()
  assert.match(findingOf(report, "the kubelet's registry"), /^note: there is no .*kubelet.sock: no kubelet is running/)
  assert.ok(isGood(report))
})

test('a bus that cannot be read is bad, and the rest is told all the same', async (t) => {
  const node = await machine(t, 'vfio')
  node.remove('proc/net/route')
  const report = await node.check()
  assert.match(findingOf(report, 'network cards'), /^bad: Error: ENOENT.*proc\/net\/route.* -> mount/)
  assert.match(findingOf(report, 'IOMMU'), /^good/)
})

test('of a card that an earlier process has bound, the journal says for which ENIAttachment', async (t) => {
  const node = await machine(t, 'vfio')
  const card = node.bus.cards()[1] ?? assert.fail()
  const directory = `sys/bus/pci/devices/${card.bdf}`
  const entry = entryFor(cardAt(card.bdf, { inode: String(statSync(join(node.root, directory)).ino) }), 'uid-a')
  const bootID = readFileSync(join(node.root, 'proc/sys/kernel/random/boot_id'), 'utf8').trim()
  node.put(`state/cards/${card.bdf}.json`, JSON.stringify({ ...entry, bootID }))
  node.put('state/cards/left-by-a-crash.new', '')
  const { ownedBy } = secondCard(await node.check())
  assert.equal(ownedBy, 'a')
  assert.ok(existsSync(join(node.root, 'state/cards/left-by-a-crash.new')), 'it changes nothing')
})

const main = fileURLToPath(new URL('../../src/device-plugin/main.ts', import.meta.url))

test('the program prints it and ends with 0 or 1, or with 2 when it is asked wrongly, without an API server', async (t) => {
  const node = await machine(t, 'vfio')
  const env = {
    JIT_ENI_SYS: join(node.root, 'sys'),
    JIT_ENI_PROC: join(node.root, 'proc'),
    JIT_ENI_STATE_DIR: node.root,
  }
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [main, ...args], { env, encoding: 'utf8', timeout: 30_000 })
  const good = run('--check')
  assert.match(good.stdout, /would be bound to vfio-pci[^]*nothing is bad\n$/)
  assert.equal(good.status, 0)
  const wrong = run('--chekc')
  assert.match(wrong.stderr, /^usage: /)
  assert.equal(wrong.status, 2)
  node.remove('sys/class/iommu/dmar0')
  node.remove('sys/bus/pci/drivers/igb_uio')
  const bad = run('--check', '--json')
  assert.equal(bad.status, 1)
  assert.equal((JSON.parse(bad.stdout) as Preflight).cards.length, 2)
})

test('an empty path in the environment is a wrong question', async () => {
  const result = await checkCommand(['--check'], { JIT_ENI_SYS: '' })
  assert.deepEqual(result, { code: 2, text: 'environment: JIT_ENI_SYS: is not set\n' })
})
