// Writes tar archives (POSIX ustar), as far as container images need it.
export type TarEntry =
  | { readonly path: string; readonly kind: 'directory' }
  | { readonly path: string; readonly kind: 'file'; readonly content: Buffer; readonly mode: number }
  | { readonly path: string; readonly kind: 'symlink'; readonly target: string }

const blockBytes = 512
const typeFlags = { file: '0', symlink: '2', directory: '5' } as const

/** Owner root, time 0: the same entries always give the same bytes, and so the same image id. */
export function tarArchive(entries: readonly TarEntry[]): Buffer {
  const end = Buffer.alloc(2 * blockBytes)
  return Buffer.concat([...entries.flatMap(entryBlocks), end])
}

function entryBlocks(entry: TarEntry): Buffer[] {
  if (entry.kind !== 'file') return [header(entry, 0o755, 0, entry.kind === 'symlink' ? entry.target : '')]
  const padding = Buffer.alloc((blockBytes - (entry.content.length % blockBytes)) % blockBytes)
  return [header(entry, entry.mode, entry.content.length, ''), entry.content, padding]
}

function header(entry: TarEntry, mode: number, size: number, target: string): Buffer {
  const block = Buffer.alloc(blockBytes)
  if (Buffer.byteLength(entry.path) > 100) throw new Error(`too long for a tar header: ${entry.path}`)
  block.write(entry.path, 0)
  writeOctal(block, mode, 100, 8)
  writeOctal(block, 0, 108, 8)
  writeOctal(block, 0, 116, 8)
  writeOctal(block, size, 124, 12)
  writeOctal(block, 0, 136, 12)
  block.write(typeFlags[entry.kind], 156)
  block.write(target, 157)
  block.write('ustar\u000000', 257)
  // The checksum is the sum of all bytes, its own eight taken as spaces.
  block.fill(' ', 148, 156)
  const checksum = block.reduce((sum, byte) => sum + byte, 0)
  block.write(`${checksum.toString(8).padStart(6, '0')}\u0000 `, 148)
  return block
}

function writeOctal(block: Buffer, value: number, offset: number, length: number): void {
  block.write(value.toString(8).padStart(length - 1, '0'), offset)
}
