// Writes cpio archives in the format "newc", the one that a kernel unpacks as its first root (initramfs).
// Format: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel.
export type CpioEntry =
  | { readonly path: string; readonly kind: 'directory' }
  | { readonly path: string; readonly kind: 'file'; readonly content: Buffer; readonly mode: number }

const magic = '070701'
const trailer = 'TRAILER!!!'
const alignmentBytes = 4
const fileTypes = { directory: 0o040000, file: 0o100000 } as const

/** Owner root, time 0: the same entries always give the same bytes. A directory comes before what is in it. */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const members = entries.flatMap((entry, index) => {
    const inode = index + 1
    if (entry.kind === 'directory') return member(entry.path, inode, fileTypes.directory | 0o755, 2, Buffer.alloc(0))
    return member(entry.path, inode, fileTypes.file | entry.mode, 1, entry.content)
  })
  return Buffer.concat([...members, ...member(trailer, 0, 0, 1, Buffer.alloc(0))])
}

function member(path: string, inode: number, mode: number, links: number, content: Buffer): Buffer[] {
  const name = Buffer.from(`${path}\u0000`)
  const [owner, group, time, major, minor, checksum] = [0, 0, 0, 0, 0, 0]
  const numbers = [inode, mode, owner, group, links, time, content.length, major, minor, 0, 0, name.length, checksum]
  const header = Buffer.from(magic + numbers.map((value) => value.toString(16).padStart(8, '0')).join(''))
  return [aligned(Buffer.concat([header, name])), aligned(content)]
}

function aligned(bytes: Buffer): Buffer {
  const padding = (alignmentBytes - (bytes.length % alignmentBytes)) % alignmentBytes
  return Buffer.concat([bytes, Buffer.alloc(padding)])
}
