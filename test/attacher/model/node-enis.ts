// The NodeENIs of the model: four by name, and what users put into them and change.
import * as fc from 'fast-check'

import type { NodeENISpec } from '../../../src/api/node-eni.ts'
import { resources } from './world.ts'

export const nodeENINames = ['upf', 'upf-small', 'ctl', 'n6'] as const
export type NodeENIName = (typeof nodeENINames)[number]

const [upf, other] = resources
/** What of each never changes. */
const fixed: Readonly<Record<NodeENIName, Partial<NodeENISpec>>> = {
  upf: { dpdkResourceName: upf, subnetIDs: ['subnet-a1', 'subnet-b1'] },
  'upf-small': { dpdkResourceName: upf, subnetIDs: ['subnet-a2'] },
  ctl: { dpdkResourceName: other, attachPolicy: 'Eager', subnetIDs: ['subnet-a1', 'subnet-b1'] },
  n6: { subnetIDs: ['subnet-a1', 'subnet-a2', 'subnet-b1'] },
}

export type Choices = Partial<NodeENISpec>

/** What no EC2 knows, and what to put in its place. */
const missing = { securityGroupIDs: ['sg-gone'], subnetIDs: ['subnet-gone'] } as const

const choices = {
  releaseAfter: fc.constantFrom('0s', '20s', '2m', '10m'),
  warm: fc.constantFrom(0, 1, 2),
  maxPerNode: fc.constantFrom(1, 2, 3),
  sourceDestCheck: fc.boolean(),
  deleteOnTermination: fc.boolean(),
  secondaryPrivateIPv4AddressCount: fc.constantFrom(0, 0, 1, 3),
  nodeSelector: fc.constantFrom<Record<string, string>>({}, { pool: 'upf' }, { node: 'a1' }),
  tags: fc.constantFrom<Record<string, string>>({ owner: 'upf' }, { owner: 'core', Name: 'N3' }),
}

/** Of a new one; what is left out has its default. */
export const newChoices: fc.Arbitrary<Choices> = fc
  .record(choices, { requiredKeys: ['releaseAfter'] })
  // Unused warm ENIs and addresses are for JustInTime; the rest goes with any.
  .map((chosen) => chosen as Choices)

/** One field of one that is there. */
export const editChoices: fc.Arbitrary<Choices> = fc.oneof(
  ...Object.entries(choices).map(([field, value]) =>
    (value as fc.Arbitrary<unknown>).map((chosen) => ({ [field]: chosen })),
  ),
  fc.constantFrom<Choices>(
    { securityGroupIDs: ['sg-second'] },
    { securityGroupIDs: ['sg-upf', 'sg-second'] },
    { description: 'jit-eni edited' },
    { securityGroupIDs: [...missing.securityGroupIDs] },
    { subnetIDs: [...missing.subnetIDs] },
  ),
)

export function specOf(name: NodeENIName, chosen: Choices): object {
  return { nodeSelector: {}, securityGroupIDs: ['sg-upf'], ...fixed[name], ...chosen }
}

/** The same without what EC2 does not know. */
export function mended(name: NodeENIName, spec: NodeENISpec): NodeENISpec {
  const { subnetIDs, securityGroupIDs } = spec
  return {
    ...spec,
    ...(subnetIDs?.includes(missing.subnetIDs[0]) === true &&
      fixed[name].subnetIDs && { subnetIDs: fixed[name].subnetIDs }),
    ...(securityGroupIDs?.includes(missing.securityGroupIDs[0]) === true && { securityGroupIDs: ['sg-upf'] }),
  }
}
