// What the Linux distribution has to have is found, installed, or named in one line.
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { obtainHostTools } from '../../sim/cluster/binaries/host-tools.ts'
import { type Host, requireRoot } from '../../sim/cluster/host.ts'

const commands = ['runc', 'ip', 'nsenter', 'unshare', 'setpriv', 'flock', 'mount', 'tar', 'openssl']
const cniPlugins = ['ptp', 'host-local', 'loopback', 'host-device']
const unprivileged = 1000

/** A 64-bit ELF program with one program header, of type PT_LOAD: all that a static one must have. */
function staticProgram(): Buffer {
  const elf = Buffer.alloc(120)
  elf.writeBigUInt64LE(64n, 32)
  elf.writeUInt16LE(56, 54)
  elf.writeUInt16LE(1, 56)
  elf.writeUInt32LE(1, 64)
  return elf
}

class Machine {
  readonly root = mkdtempSync(path.join(tmpdir(), 'host-tools-'))
  readonly bin = path.join(this.root, 'bin')
  readonly cni = path.join(this.root, 'cni')
  readonly lines: string[] = []

  constructor(t: TestContext) {
    t.after(() => rmSync(this.root, { recursive: true }))
    for (const directory of [this.bin, this.cni]) mkdirSync(directory)
    for (const name of commands) this.install(this.bin, name)
    for (const name of cniPlugins) this.install(this.cni, name)
    this.install(this.bin, 'busybox', staticProgram())
  }

  install(directory: string, name: string, content: string | Buffer = '#!/bin/sh\n'): void {
    writeFileSync(path.join(directory, name), content, { mode: 0o755 })
  }

  remove(...names: readonly string[]): void {
    for (const name of names) rmSync(path.join(this.bin, name))
  }

  obtain(uid: number) {
    const host: Host = { uid, searchDirs: [this.bin], cniPluginDirs: [path.join(this.root, 'none'), this.cni] }
    return obtainHostTools(host, (line) => this.lines.push(line))
  }
}

test('what is there is found', async (t) => {
  const machine = new Machine(t)
  assert.deepEqual(await machine.obtain(unprivileged), {
    runc: path.join(machine.bin, 'runc'),
    cniPluginDir: machine.cni,
    busybox: path.join(machine.bin, 'busybox'),
  })
})

test('what is missing and may not be installed is named in one line, with its Debian packages', async (t) => {
  const machine = new Machine(t)
  machine.remove('runc', 'ip', 'unshare', 'nsenter')
  rmSync(path.join(machine.cni, 'ptp'))
  const message =
    'missing: runc, CNI plugins (ptp, host-local, loopback, host-device), ip, nsenter, unshare; as root: ' +
    "apt-get install runc containernetworking-plugins iproute2 util-linux (or your distribution's packages of these)"
  await assert.rejects(machine.obtain(unprivileged), { message })
  await assert.rejects(machine.obtain(0), { message }, 'a machine without apt-get')
})

test('a dynamically linked busybox will not do: an image has nothing but it', async (t) => {
  const machine = new Machine(t)
  copyFileSync(process.execPath, path.join(machine.bin, 'busybox'))
  await assert.rejects(machine.obtain(unprivileged), /^Error: missing: statically linked busybox; .* busybox-static /)
})

test('root installs what is missing by apt-get, with fresh lists when it has none', async (t) => {
  const machine = new Machine(t)
  machine.remove('runc')
  const { root, bin } = machine
  const aptGet = `#!/bin/sh
echo "$@" >> ${root}/calls
[ "$1" = update ] && touch ${root}/lists
[ -e ${root}/lists ] && cp ${bin}/tar ${bin}/runc`
  machine.install(bin, 'apt-get', aptGet)
  assert.equal((await machine.obtain(0)).runc, path.join(bin, 'runc'))
  assert.deepEqual(machine.lines, ['installing runc with apt-get'])
})

test('without root it is said at once', () => {
  assert.throws(() => requireRoot({ uid: unprivileged, searchDirs: [], cniPluginDirs: [] }), {
    message: 'a cluster needs root, for mount namespaces, control groups and pod networks: run this as root',
  })
})
