// Ids: the form that EC2 accepts for each kind, and new ones that look like EC2's.
// Ids given to us need not be hexadecimal: manifests in the field carry ids such as subnet-0a1b2c3d4e5f6g7h8.

import { createHash } from 'node:crypto'

import { refusals } from './refusals.ts'

const malformedCodes = {
  subnet: 'InvalidSubnetID.Malformed',
  sg: 'InvalidGroupId.Malformed',
  eni: 'InvalidNetworkInterfaceId.Malformed',
  'eni-attach': 'InvalidNetworkInterfaceAttachmentId.Malformed',
  i: 'InvalidInstanceID.Malformed',
} as const

export type ResourceKind = keyof typeof malformedCodes

/** Returns the id, or throws the kind's Malformed error. */
export function wellFormed(kind: ResourceKind, id: string): string {
  const rest = id.startsWith(`${kind}-`) ? id.slice(kind.length + 1) : ''
  if (!/^[0-9a-z]+$/.test(rest)) throw refusals.malformed(malformedCodes[kind], id, kind)
  return id
}

/** Mints ids and MACs: unique, and the same in every run, so that a failed test reads the same twice. */
export class IdMint {
  #minted = 0

  /** `eni` gives eni-0 and 16 hexadecimal digits. */
  id(prefix: string): string {
    const digits = createHash('sha256')
      .update(`${prefix} ${++this.#minted}`)
      .digest('hex')
      .slice(0, 16)
    return `${prefix}-0${digits}`
  }

  /** A locally administered unicast address. An odd factor permutes the 40 bits, so no two numbers give one address. */
  mac(): string {
    const bits = BigInt.asUintN(40, BigInt(++this.#minted) * 0x9e3779b97fn)
    const octets = bits.toString(16).padStart(10, '0').match(/../g) ?? []
    return ['02', ...octets].join(':')
  }
}
