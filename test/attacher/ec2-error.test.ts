// Every code that EC2 is known to answer, and what it is taken for.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EC2ServiceException } from '@aws-sdk/client-ec2'

import { type Ec2ErrorKind, isEc2, translateEc2Error } from '../../src/attacher/ec2-error.ts'

const kinds: readonly (readonly [Ec2ErrorKind, code: string, message?: string, status?: number, action?: string])[] = [
  ['Throttled', 'RequestLimitExceeded', 'Request limit exceeded.', 503],
  ['Throttled', 'RequestLimitExceeded'],
  ['Throttled', 'EC2ThrottledException'],
  ['Throttled', 'Throttling'],
  ['Throttled', 'ThrottlingException'],
  ['Throttled', 'ThrottledException'],
  ['Retry', 'InternalError', 'An internal error has occurred', 500],
  ['Retry', 'Unavailable', 'The server is overloaded', 503],
  ['Retry', 'ServiceUnavailable'],
  ['Retry', 'SomethingNew', 'never seen', 502],
  ['NotFound', 'InvalidNetworkInterfaceID.NotFound'],
  ['NotFound', 'InvalidAttachmentID.NotFound'],
  ['NodeFull', 'AttachmentLimitExceeded', 'Interface count 9 exceeds the limit for m5a.4xlarge'],
  ['IndexTaken', 'InvalidParameterValue', "Instance 'i-1' already has an interface attached at device index '1'."],
  ['EniInUse', 'InvalidParameterValue', "Network interface 'eni-1' is currently in use."],
  ['EniInUse', 'InvalidNetworkInterface.InUse', 'Interface: [eni-1] in use.'],
  ['InstanceNotRunning', 'IncorrectState', "Instance 'i-1' is not 'running'."],
  ['InstanceNotRunning', 'IncorrectState', "The instance 'i-1' is not in a valid state", 400, 'AttachNetworkInterface'],
  ['EniInUse', 'IncorrectState', "Network interface 'eni-1' is not in a valid state", 400, 'AttachNetworkInterface'],
  [
    'EniInUse',
    'IncorrectState',
    "The interface attachment 'eni-attach-1' is not in a state from which it can be detached.",
  ],
  ['EniInUse', 'IncorrectState', 'IncorrectState', 400, 'DetachNetworkInterface'],
  ['InstanceNotRunning', 'InvalidParameterValue', "Instance 'i-1' is not 'running'."],
  ['InstanceNotRunning', 'SomethingNew', "Instance 'i-1' is not 'running'."],
  ['InstanceNotRunning', 'IncorrectInstanceState'],
  ['InstanceNotRunning', 'InvalidInstanceID.NotFound'],
  ['SubnetExhausted', 'InsufficientFreeAddressesInSubnet'],
  ['SubnetExhausted', 'InsufficientCidrBlocks'],
  ['SubnetExhausted', 'InvalidParameterValue', 'There are not sufficient free Ipv4 addresses or prefixes'],
  ['TokenMismatch', 'IdempotentParameterMismatch'],
  ['Credentials', 'AuthFailure', 'AWS was not able to validate the provided access credentials', 401],
  ['Configuration', 'AuthFailure', 'You do not have permission to access the specified resource.'],
  ['Configuration', 'NetworkInterfaceLimitExceeded'],
  ['Configuration', 'InvalidInterface.IpAddressLimitExceeded'],
  ['Configuration', 'UnauthorizedOperation', 'You are not authorized', 403],
  ['Configuration', 'InvalidSubnetID.NotFound'],
  ['Configuration', 'InvalidGroup.NotFound'],
  ['Configuration', 'SecurityGroupsPerInterfaceLimitExceeded'],
  ['Configuration', 'InvalidNetworkInterfaceID.Malformed'],
  ['Configuration', 'InvalidParameterValue', 'something else'],
  ['Configuration', 'SomethingNew'],
]

/** In the words of who can do it. */
const advice: Readonly<Record<string, string>> = {
  AttachmentLimitExceeded: ' (add nodes, or use a type that takes more ENIs)',
  NetworkInterfaceLimitExceeded:
    ' (raise the quota "Network interfaces per Region", L-DF5E4CA3, or delete ENIs that nobody uses)',
  SecurityGroupsPerInterfaceLimitExceeded:
    ' (name fewer security groups in the NodeENI, or raise the quota "Security groups per network interface")',
}

for (const [kind, code, message = code, httpStatusCode = 400, action = 'Act'] of kinds) {
  test(`${code} (${message}, ${httpStatusCode}) of ${action} is ${kind}`, () => {
    const $metadata = { httpStatusCode }
    const error = translateEc2Error(
      action,
      new EC2ServiceException({ name: code, message, $fault: 'client', $metadata }),
    )
    assert.equal(error.kind, kind)
    assert.equal(error.code, code)
    assert.equal(error.action, action)
    assert.equal(error.message, `EC2 ${action}: ${code}: ${message}${advice[code] ?? ''}`)
    assert.ok(isEc2(error, kind))
  })
}

test('no answer at all: the outcome is unknown, and what went wrong is kept', () => {
  const cause = new Error('socket hang up')
  const error = translateEc2Error('AttachNetworkInterface', cause)
  assert.equal(error.kind, 'Retry')
  assert.equal(error.message, 'EC2 AttachNetworkInterface: NoAnswer: socket hang up')
  assert.equal(error.cause, cause)
})

test('an error that is not of EC2 is of no kind', () => {
  assert.equal(isEc2(new Error('Retry'), 'Retry'), false)
})

test('what differs in every answer to the same call is cut away', () => {
  const message =
    'You are not authorized to perform: ec2:DetachNetworkInterface. Encoded authorization failure message: kT2vX'
  const error = new EC2ServiceException({ name: 'UnauthorizedOperation', message, $fault: 'client', $metadata: {} })
  assert.match(translateEc2Error('Act', error).message, /ec2:DetachNetworkInterface\.$/)
})
