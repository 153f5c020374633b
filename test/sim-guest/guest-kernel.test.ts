// A guest's kernel is taken from the cache, else made out of packages of the distribution; when neither can be, one line says why.
// apt and the packages are made up here: a few bytes as the kernel, and headers whose makefile copies.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { runCommand } from '../../sim/cluster/run-command.ts'
import { obtainGuestKernelOn, type GuestHost, type GuestKernel } from '../../sim/guest/kernel/obtain.ts'

const version = '6.1.0-56-amd64'
const packageVersion = '6.1.192-2'
const commands = 'qemu-system-x86_64 modprobe mount ip udevadm socat mkfs.ext4 runc dpkg-deb depmod tar xz make gcc'
const cniPlugins = ['ptp', 'host-local', 'loopback', 'host-device']
const initramfsModules = 'virtio_pci virtio_net 9p 9pnet_virtio overlay virtio_blk virtio_rng crc32c_generic ext4'
const image = '\u007fELF and so on'

const needed = ['dpkg-deb', 'depmod', 'tar', 'xz', 'make']
const absent = needed.filter((name) => spawnSync(name, ['--version']).error !== undefined)
const skip = absent.length > 0 && `this machine has no ${absent.join(', ')}`

class Machine {
  readonly root = mkdtempSync(path.join(tmpdir(), 'guest-kernel-'))
  readonly cacheDir = path.join(this.root, 'cache')
  readonly lines: string[] = []
  readonly #bin = path.join(this.root, 'bin')

  constructor(t: TestContext) {
    t.after(() => rmSync(this.root, { recursive: true }))
    for (const name of commands.split(' ')) this.program(name, '#!/bin/sh\n')
    for (const name of cniPlugins) this.program(name, '#!/bin/sh\n')
    this.program('busybox', staticProgram())
    this.apt()
  }

  write(file: string, content: string | Buffer, mode = 0o644): void {
    const target = path.join(this.root, file)
    mkdirSync(path.dirname(target), { recursive: true })
    writeFileSync(target, content, { mode })
  }

  program(name: string, content: string | Buffer): void {
    this.write(path.join('bin', name), content, 0o755)
  }

  remove(...names: readonly string[]): void {
    for (const name of names) rmSync(path.join(this.#bin, name))
  }

  /** Says what it was called with in a file; `sources` are the versions of linux-source that it knows. */
  apt({ depends = `linux-image-${version}`, sources = [packageVersion] } = {}): void {
    const { root } = this
    this.program(
      'apt-get',
      `#!/bin/sh
echo "apt-get $*" >> ${root}/calls
name=\${2%%=*}
case $1 in
  download) cp ${root}/archive/$name.deb . || { echo "E: Unable to fetch $name" >&2; exit 100; } ;;
  update) ;;
  *) exit 1 ;;
esac`,
    )
    const madison = sources.map((source) => `echo " linux-source-6.1 | ${source} | http://archive Packages"`)
    this.program(
      'apt-cache',
      `#!/bin/sh
echo "apt-cache $*" >> ${root}/calls
case $1 in
  depends) ${depends === '' ? 'exit 100' : `echo "$3"; echo "  Depends: ${depends}"`} ;;
  madison) ${madison.join('; ') || ':'} ;;
esac`,
    )
  }

  /** What was asked of apt since the last time. */
  calls(): string[] {
    const file = path.join(this.root, 'calls')
    const text = spawnSync('cat', [file], { encoding: 'utf8' }).stdout
    rmSync(file, { force: true })
    return text.split('\n').filter((line) => line !== '')
  }

  async publish(): Promise<void> {
    this.write(`image/boot/vmlinuz-${version}`, await this.bootFile())
    const modules = `image/lib/modules/${version}`
    const builtin = initramfsModules.split(' ').map((name) => `kernel/${name}.ko\n`)
    this.write(`${modules}/modules.builtin`, builtin.join(''))
    this.write(`${modules}/modules.order`, '')
    await this.#package('image', `linux-image-${version}`, packageVersion)
    this.write('linux-source-6.1/drivers/vfio/vfio_main.c', 'source of vfio')
    this.write('linux-source-6.1/drivers/vfio/Makefile', 'the makefile of the kernel')
    this.write('linux-source-6.1/drivers/vfio/pci/vfio_pci.c', 'source of vfio-pci')
    mkdirSync(path.join(this.root, 'source/usr/src'), { recursive: true })
    const archive = 'source/usr/src/linux-source-6.1.tar.xz'
    await runCommand('tar', ['-cJf', archive, 'linux-source-6.1'], { cwd: this.root })
    await this.#package('source', 'linux-source-6.1', packageVersion)
    this.write(
      `src/linux-headers-${version}/Makefile`,
      'vfio.ko:\n\techo $(KCFLAGS) | cat - $(M)/vfio_main.c > $(M)/$@\n',
    )
  }

  async bootFile(): Promise<Buffer> {
    this.write('kernel', image)
    await runCommand('xz', [path.join(this.root, 'kernel')])
    const xz = readFileSync(path.join(this.root, 'kernel.xz'))
    const setup = Buffer.alloc(1024)
    setup.writeUInt8(1, 0x1f1)
    setup.write('HdrS', 0x202)
    setup.writeUInt16LE(0x020f, 0x206)
    setup.writeUInt32LE(xz.length + 4, 0x24c)
    return Buffer.concat([setup, xz, Buffer.from([image.length, 0, 0, 0]), Buffer.from('signature')])
  }

  async #package(directory: string, name: string, ofVersion: string): Promise<void> {
    const control = `Package: ${name}\nVersion: ${ofVersion}\nArchitecture: all\nMaintainer: test\nDescription: test\n`
    this.write(`${directory}/DEBIAN/control`, control)
    mkdirSync(path.join(this.root, 'archive'), { recursive: true })
    await runCommand('dpkg-deb', ['--build', directory, `archive/${name}.deb`], { cwd: this.root })
  }

  obtain({ signal, ...host }: Partial<GuestHost> & { signal?: AbortSignal } = {}): Promise<GuestKernel> {
    const all = {
      uid: 0,
      searchDirs: [this.#bin],
      cniPluginDirs: [this.#bin],
      architecture: 'x64',
      cacheDir: this.cacheDir,
      headersDir: path.join(this.root, 'src'),
      ...host,
    }
    return obtainGuestKernelOn(all, (line) => this.lines.push(line), signal)
  }
}

/** A 64-bit ELF program with one program header, of type PT_LOAD: all that a static one must have. */
function staticProgram(): Buffer {
  const elf = Buffer.alloc(120)
  elf.writeBigUInt64LE(64n, 32)
  elf.writeUInt16LE(56, 54)
  elf.writeUInt16LE(1, 56)
  elf.writeUInt32LE(1, 64)
  return elf
}

async function fullMachine(t: TestContext): Promise<Machine> {
  const machine = new Machine(t)
  await machine.publish()
  return machine
}

test('the kernel is made out of packages of which nothing else is kept', { skip }, async (t) => {
  const machine = await fullMachine(t)
  const kernel = await machine.obtain()
  assert.equal(kernel.version, version)
  assert.equal(readFileSync(kernel.image, 'utf8'), image)
  assert.ok(readdirSync(path.join(kernel.tree, 'lib/modules', version)).includes('modules.dep.bin'))
  assert.equal(readFileSync(kernel.noIommuVfio, 'utf8'), '-DCONFIG_VFIO_NOIOMMU=1\nsource of vfio')
  assert.match(readFileSync(kernel.initramfs, 'latin1'), /^070701[^]*bin\/busybox[^]*TRAILER!!!/)
  assert.deepEqual(readdirSync(machine.cacheDir), [`guest-kernel-${version}`])
  assert.deepEqual(
    readdirSync(path.join(machine.cacheDir, `guest-kernel-${version}`)).sort(),
    [path.basename(kernel.initramfs), 'tree', 'vfio-noiommu.ko', 'vmlinux'].sort(),
  )
})

test('from then on it is the kernel of the cache, whatever apt has, and whoever asks', { skip }, async (t) => {
  const machine = await fullMachine(t)
  const kernel = await machine.obtain()
  machine.calls()
  machine.apt({ depends: 'linux-image-6.1.0-57-amd64' })
  machine.remove('make', 'gcc')
  assert.deepEqual(await machine.obtain({ uid: 1000 }), kernel)
  assert.deepEqual(machine.calls(), [])
})

test('a first root of another content is made of the kernel of the cache', { skip }, async (t) => {
  const machine = await fullMachine(t)
  const kernel = await machine.obtain()
  const content = readFileSync(kernel.initramfs)
  machine.calls()
  rmSync(kernel.initramfs)
  assert.deepEqual(await machine.obtain(), kernel)
  assert.deepEqual(readFileSync(kernel.initramfs), content)
  assert.deepEqual(machine.calls(), [])
})

test('of several kernels in the cache the newest is taken', { skip }, async (t) => {
  const machine = await fullMachine(t)
  await machine.obtain()
  const other = `6.1.0-9-amd64`
  mkdirSync(path.join(machine.cacheDir, `guest-kernel-${other}`))
  assert.equal((await machine.obtain()).version, version)
})

test('two that ask at the same time download once', { skip }, async (t) => {
  const machine = await fullMachine(t)
  const [one, other] = await Promise.all([machine.obtain(), machine.obtain()])
  assert.deepEqual(one, other)
  assert.equal(machine.calls().filter((call) => call.startsWith('apt-get download')).length, 2, 'image and source')
})

test('a guest cannot run on another processor', async (t) => {
  const message = 'guest kernel: this machine is arm64; guests are x86-64, run this on such a machine'
  await assert.rejects(new Machine(t).obtain({ architecture: 'arm64' }), { message })
})

test('a guest cannot be told of a cache with a space in its path', async (t) => {
  const message =
    "guest kernel: /home/a b/jit-eni has a space, which the guest's command line cannot have: set XDG_CACHE_HOME"
  await assert.rejects(new Machine(t).obtain({ cacheDir: '/home/a b/jit-eni' }), { message })
})

test('programs that are missing and may not be installed are named in one line, with their packages', async (t) => {
  const machine = new Machine(t)
  machine.remove('qemu-system-x86_64', 'socat')
  const message =
    'missing: qemu-system-x86_64, socat; as root: apt-get install qemu-system-x86 socat ' +
    "(or your distribution's packages of these)"
  await assert.rejects(machine.obtain({ uid: 1000 }), { message })
})

test('with an empty cache and no right to install, it is said at once', async (t) => {
  const message = 'guest kernel: the cache has none and it comes by apt: run this as root on Debian'
  await assert.rejects(new Machine(t).obtain({ uid: 1000 }), { message })
  const machine = new Machine(t)
  machine.remove('apt-get')
  await assert.rejects(machine.obtain(), { message })
})

test('a distribution without such a kernel is named, after the lists of packages were fetched', async (t) => {
  const machine = new Machine(t)
  machine.apt({ depends: '' })
  await assert.rejects(
    machine.obtain(),
    /^Error: guest kernel: looking for the package linux-image-amd64 failed \(.*\): a guest needs Debian.*$/,
  )
  assert.ok(machine.calls().includes('apt-get update'))
})

test('a download that fails is named with what apt said, and leaves nothing in the cache', { skip }, async (t) => {
  const machine = await fullMachine(t)
  rmSync(path.join(machine.root, 'archive/linux-source-6.1.deb'))
  await assert.rejects(
    machine.obtain(),
    /^Error: guest kernel: downloading linux-source-6\.1=6\.1\.192-2 failed \(E: Unable to fetch linux-source-6\.1\): open .*$/,
  )
  assert.deepEqual(readdirSync(machine.cacheDir), [])
})

test('a kernel whose source is not to be had is named', { skip }, async (t) => {
  const machine = await fullMachine(t)
  machine.apt({ sources: ['6.1.187-1'] })
  await assert.rejects(machine.obtain(), {
    message:
      'guest kernel: there is no linux-source-6.1 of version 6.1.192-2 (only 6.1.187-1): run apt-get update and this again',
  })
})

test('a module that does not build is named with what make said', { skip }, async (t) => {
  const machine = await fullMachine(t)
  machine.write(`src/linux-headers-${version}/Makefile`, 'vfio.ko:\n\tfalse\n')
  await assert.rejects(machine.obtain(), /^Error: guest kernel: building vfio\.ko failed \(make: .*Error 1\): .*$/)
})

test('Ctrl-C ends it, and leaves nothing in the cache', { skip }, async (t) => {
  const machine = await fullMachine(t)
  const interrupted = new AbortController()
  machine.write(`src/linux-headers-${version}/Makefile`, 'vfio.ko:\n\tsleep 300\n')
  const push = machine.lines.push.bind(machine.lines)
  machine.lines.push = (line) => {
    if (line.includes('building vfio.ko')) interrupted.abort(new Error('interrupted'))
    return push(line)
  }
  await assert.rejects(machine.obtain({ signal: interrupted.signal }), /^Error: interrupted$/)
  assert.deepEqual(readdirSync(machine.cacheDir), [])
})
