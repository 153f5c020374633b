// UnauthorizedOperation in EC2's words: with the resource and an encoded message, or without both where the action names no
// resource (seen at ec2:DescribeInstances). Words of a Deny: IAM user guide, "Access denied error messages".

import { createHash } from 'node:crypto'

import { Ec2Error } from '../state/ec2-error.ts'

import type { Denial } from './decision.ts'

/** EC2's is about a kilobyte. */
const encodedBytes = 750

/** `serial` makes the encoded message another one each time, as EC2's is. */
export function unauthorized(caller: string, { check, because }: Denial, serial: number): Ec2Error {
  const { action, resource } = check
  const on = resource === '*' ? '' : ` on resource: ${resource}`
  const why =
    because === 'explicit-deny'
      ? 'with an explicit deny in an identity-based policy'
      : `because no identity-based policy allows the ${action} action`
  const encoded = resource === '*' ? '' : `. Encoded authorization failure message: ${encodedMessage(serial)}`
  const what = `User: ${caller} is not authorized to perform: ${action}${on} ${why}${encoded}`
  return new Ec2Error('UnauthorizedOperation', `You are not authorized to perform this operation. ${what}`, 403)
}

function encodedMessage(serial: number): string {
  return createHash('shake256', { outputLength: encodedBytes }).update(String(serial)).digest('base64url')
}
