// Frames that a test knows again among the others on a cable (a kernel sends router solicitations unasked), each with its own number.
const headerBytes = 14
/** Without the checksum, which no card hands over: what is shorter a card fills up or drops. */
const minFrameBytes = 60
/** For experiments on one's own network (IEEE 802, Local Experimental EtherType 1). */
const etherType = 0x88b5
const sequenceOffset = headerBytes

export interface TestFrame {
  /** MAC addresses, with colons. */
  readonly to: string
  readonly from: string
  /** 0 to 2^32 - 1 */
  readonly sequence: number
}

export function testFrame({ to, from, sequence }: TestFrame): Buffer {
  const frame = Buffer.alloc(minFrameBytes)
  frame.set(macBytes(to), 0)
  frame.set(macBytes(from), 6)
  frame.writeUInt16BE(etherType, 12)
  frame.writeUInt32BE(sequence, sequenceOffset)
  return frame
}

/** Undefined for what is no test frame. The addresses do not count: a forwarder may change them. */
export function sequenceOf(frame: Buffer): number | undefined {
  if (frame.length < minFrameBytes || frame.readUInt16BE(12) !== etherType) return undefined
  return frame.readUInt32BE(sequenceOffset)
}

function macBytes(mac: string): Buffer {
  if (!/^[\da-f]{2}(:[\da-f]{2}){5}$/i.test(mac)) throw new Error(`no MAC address: ${mac}`)
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}
