// Ethernet frames on a byte stream, as a netdev of type "stream" of QEMU has them in both directions: before each frame its length in four
// bytes, most significant first (net/stream.c and net_fill_rstate in net/net.c of QEMU).
const prefixBytes = 4
/** A card that leaves segmentation to the other side sends one packet of 64 KiB, behind addresses, a VLAN tag and the EtherType. */
export const maxFrameBytes = 64 * 1024 + 18

/** Throws a RangeError for a frame that no card would take. */
export function framed(frame: Uint8Array): Buffer {
  if (!isFrameLength(frame.length)) throw new RangeError(`cannot send a frame of ${frame.length} bytes: ${allowed}`)
  const message = Buffer.allocUnsafe(prefixBytes + frame.length)
  message.writeUInt32BE(frame.length, 0)
  message.set(frame, prefixBytes)
  return message
}

export interface ReadFrames {
  readonly frames: readonly Buffer[]
  /** Why the stream cannot be understood from here on. */
  readonly broken?: RangeError
}

/** Cuts the frames out of the stream, however it was split into chunks. */
export class FrameReader {
  #rest = Buffer.alloc(0)

  /** The frames that are complete with this chunk. */
  read(chunk: Uint8Array): ReadFrames {
    const bytes = Buffer.concat([this.#rest, chunk])
    const frames: Buffer[] = []
    let start = 0
    while (bytes.length - start >= prefixBytes) {
      const length = bytes.readUInt32BE(start)
      if (!isFrameLength(length)) {
        return { frames, broken: new RangeError(`a frame of ${length} bytes was announced: ${allowed}`) }
      }
      const end = start + prefixBytes + length
      if (end > bytes.length) break
      // A copy: who keeps one small frame must not keep the whole chunk.
      frames.push(Buffer.from(bytes.subarray(start + prefixBytes, end)))
      start = end
    }
    this.#rest = bytes.subarray(start)
    return { frames }
  }
}

const allowed = `1 to ${maxFrameBytes} can be`

function isFrameLength(length: number): boolean {
  return length >= 1 && length <= maxFrameBytes
}
