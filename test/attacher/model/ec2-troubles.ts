// What goes wrong at EC2.
import * as fc from 'fast-check'

import type { Fault } from '../../../sim/ec2/wire/faults.ts'
import { type Step, stepOf } from './step.ts'

const action = fc.constantFrom(
  '*',
  'CreateNetworkInterface',
  'AttachNetworkInterface',
  'DetachNetworkInterface',
  'DeleteNetworkInterface',
  'ModifyNetworkInterfaceAttribute',
  'CreateTags',
  'DescribeNetworkInterfaces',
  'DescribeInstances',
  'DescribeSubnets',
)
const times = fc.constantFrom(1, 1, 2, 5)
const nth = fc.constantFrom(1, 1, 2)

/** Of which the caller does not know whether it was done. */
const unknown: fc.Arbitrary<Fault> = fc.record({
  action,
  nth,
  times,
  when: fc.constantFrom('before' as const, 'after' as const),
  kind: fc.constantFrom<Fault['kind'][]>('reset', 'no-answer', 'http500', { code: 'InternalError', status: 500 }),
})

/** What EC2 says when it has not done it. */
const refused: fc.Arbitrary<Fault> = fc
  .constantFrom<[Fault['action'], string, string?][]>(
    ['CreateNetworkInterface', 'InsufficientFreeAddressesInSubnet'],
    ['CreateNetworkInterface', 'UnauthorizedOperation'],
    ['CreateNetworkInterface', 'NetworkInterfaceLimitExceeded'],
    ['AttachNetworkInterface', 'AttachmentLimitExceeded'],
    ['AttachNetworkInterface', 'IncorrectState'],
    ['AttachNetworkInterface', 'UnauthorizedOperation'],
    [
      'AttachNetworkInterface',
      'InvalidParameterValue',
      "Instance 'i' already has an interface attached at device index '1'.",
    ],
    ['DetachNetworkInterface', 'UnauthorizedOperation'],
    ['DeleteNetworkInterface', 'InvalidParameterValue', "Network interface 'eni' is currently in use."],
    ['ModifyNetworkInterfaceAttribute', 'UnauthorizedOperation'],
    ['*', 'RequestLimitExceeded'],
    ['*', 'AuthFailure'],
  )
  .chain(([name, code, message]) => {
    const status = code === 'RequestLimitExceeded' ? { status: 503 } : {}
    const kind = { code, ...(message !== undefined && { message }), ...status }
    return fc.record({
      action: fc.constant(name),
      nth,
      times,
      when: fc.constant('before' as const),
      kind: fc.constant(kind),
    })
  })

const late: fc.Arbitrary<Fault> = fc.record({
  action,
  times,
  when: fc.constantFrom('before' as const, 'after' as const),
  kind: fc.constant('slow' as const),
  ms: fc.constantFrom(3_000, 19_000, 60_000),
})

const stickable = fc.constantFrom('attaching' as const, 'detaching' as const)

export const ec2Troubles: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: stepOf(unknown, ({ trouble }, fault) => trouble.ec2Fault(fault)) },
  { weight: 2, arbitrary: stepOf(refused, ({ trouble }, fault) => trouble.ec2Fault(fault)) },
  { weight: 1, arbitrary: stepOf(late, ({ trouble }, fault) => trouble.ec2Fault(fault)) },
  { weight: 1, arbitrary: stepOf(fc.boolean(), ({ trouble }, isOn) => trouble.lag(isOn)) },
  {
    weight: 1,
    arbitrary: stepOf(fc.constantFrom(undefined, 0.02, 0.2), ({ trouble }, scale) => trouble.throttle(scale)),
  },
  { weight: 2, arbitrary: stepOf(stickable, ({ trouble }, transition) => trouble.stick(transition)) },
  { weight: 2, arbitrary: fc.constant<Step>(({ trouble }) => trouble.unstick()) },
)
