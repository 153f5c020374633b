// The first root of a guest, in memory: busybox, the modules by which it reaches the machine's file system, its first process.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { cpioArchive, type CpioEntry } from './cpio-archive.ts'
import { loadOrder } from './load-order.ts'

const firstProcessFile = path.join(import.meta.dirname, 'first-process.sh')
/** crc32c_generic: ext4 asks for it by name only when it mounts. */
const wantedModules = [
  'virtio_pci',
  'virtio_net',
  '9p',
  '9pnet_virtio',
  'overlay',
  'virtio_blk',
  'virtio_rng',
  'crc32c_generic',
  'ext4',
]

/** Changes whenever this checkout would put something else in. */
export async function initramfsId(): Promise<string> {
  const hash = createHash('sha256')
  for (const source of [firstProcessFile, import.meta.filename]) hash.update(await readFile(source))
  return hash.digest('hex').slice(0, 12)
}

/** Not compressed: unpacking takes an emulated processor longer than loading. */
export async function buildInitramfs(modulesDir: string, busybox: string): Promise<Buffer> {
  const [dep, builtin] = await Promise.all(
    ['modules.dep', 'modules.builtin'].map((name) => readFile(path.join(modulesDir, name), 'utf8')),
  )
  const order = loadOrder(wantedModules, dep ?? '', builtin ?? '')
  const modules = await Promise.all(
    order.map(async (file) => fileEntry(`modules/${path.basename(file)}`, await readFile(path.join(modulesDir, file)))),
  )
  const names = order.map((file) => `${path.basename(file)}\n`).join('')
  return cpioArchive([
    { path: 'bin', kind: 'directory' },
    { path: 'modules', kind: 'directory' },
    { path: 'bin/busybox', kind: 'file', content: await readFile(busybox), mode: 0o755 },
    { path: 'init', kind: 'file', content: await readFile(firstProcessFile), mode: 0o755 },
    fileEntry('modules/order', Buffer.from(names)),
    ...modules,
  ])
}

function fileEntry(name: string, content: Buffer): CpioEntry {
  return { path: name, kind: 'file', content, mode: 0o644 }
}
