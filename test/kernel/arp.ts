// A neighbour at the far end of a card's cable that asks who has an address (RFC 826): the answer shows that frames reach whoever has it,
// and that theirs come out.
import { isIPv4 } from 'node:net'
import type { Wire } from '../../sim/guest/wire.ts'

const neighbour = Buffer.from('020000000909', 'hex')
const broadcast = Buffer.alloc(6, 0xff)
const etherType = 0x0806
const operations = { request: 1, reply: 2 }
/** Of Ethernet and IPv4: both types, both lengths. */
const fixedPart = Buffer.from('000108000604', 'hex')
const minFrameBytes = 60
const askEveryMs = 500

export interface ArpQuestion {
  /** IPv4 */
  readonly who: string
  /** In the same subnet. */
  readonly tell: string
}

/** The MAC of the answer. Asks until the signal is aborted: a card that has just come up drops what comes before it listens. */
export async function askWhoHas(wire: Wire, { who, tell }: ArpQuestion, signal: AbortSignal): Promise<string> {
  const matches = (frame: Buffer) => isReplyFrom(frame, who)
  const answer = wire.frames({ count: 1, matches, signal })
  const ask = () => void wire.send(requestFor(who, tell), signal).catch(() => undefined)
  ask()
  const again = setInterval(ask, askEveryMs)
  try {
    const [frame = Buffer.alloc(0)] = await answer
    return [...frame.subarray(22, 28)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
  } finally {
    clearInterval(again)
  }
}

function requestFor(who: string, tell: string): Buffer {
  const frame = Buffer.alloc(minFrameBytes)
  frame.set(broadcast, 0)
  frame.set(neighbour, 6)
  frame.writeUInt16BE(etherType, 12)
  frame.set(fixedPart, 14)
  frame.writeUInt16BE(operations.request, 20)
  frame.set(neighbour, 22)
  frame.set(bytesOf(tell), 28)
  frame.set(bytesOf(who), 38)
  return frame
}

function isReplyFrom(frame: Buffer, who: string): boolean {
  if (frame.length < 42 || frame.readUInt16BE(12) !== etherType) return false
  return frame.readUInt16BE(20) === operations.reply && frame.subarray(28, 32).equals(bytesOf(who))
}

function bytesOf(address: string): Buffer {
  if (!isIPv4(address)) throw new Error(`no IPv4 address: ${address}`)
  return Buffer.from(address.split('.').map(Number))
}
