// EC2's error codes, sorted by what the attacher does about them. Codes and meanings: EC2 API reference, and the issues of
// the peers that met them. InvalidParameterValue means three different things; only its message tells which.
import { EC2ServiceException } from '@aws-sdk/client-ec2'

export type Ec2ErrorKind =
  /** Not known (yet): an id may be unknown for a while after it was made. */
  | 'NotFound'
  /** The instance holds as many ENIs as its type allows. */
  | 'NodeFull'
  /** Another interface has the device index. */
  | 'IndexTaken'
  /** The ENI is attached, or still being detached. */
  | 'EniInUse'
  | 'InstanceNotRunning'
  | 'SubnetExhausted'
  /** The same client token was used with other parameters. */
  | 'TokenMismatch'
  /** Wrong until somebody changes the NodeENI, the account or the rights. */
  | 'Configuration'
  /** Throttled, or the outcome is unknown: look, then try again. */
  | 'Retry'

export class Ec2Error extends Error {
  /** The call that failed, such as AttachNetworkInterface. */
  readonly action: string
  readonly kind: Ec2ErrorKind
  /** EC2's own code, such as InvalidSubnetID.NotFound. */
  readonly code: string

  constructor(action: string, kind: Ec2ErrorKind, code: string, detail: string, cause: unknown) {
    super(`EC2 ${action}: ${code}: ${detail}`, { cause })
    this.name = 'Ec2Error'
    this.action = action
    this.kind = kind
    this.code = code
  }
}

const kindByCode: Readonly<Record<string, Ec2ErrorKind>> = {
  'InvalidNetworkInterfaceID.NotFound': 'NotFound',
  'InvalidAttachmentID.NotFound': 'NotFound',
  AttachmentLimitExceeded: 'NodeFull',
  'InvalidNetworkInterface.InUse': 'EniInUse',
  IncorrectState: 'InstanceNotRunning',
  IncorrectInstanceState: 'InstanceNotRunning',
  'InvalidInstanceID.NotFound': 'InstanceNotRunning',
  InsufficientFreeAddressesInSubnet: 'SubnetExhausted',
  InsufficientCidrBlocks: 'SubnetExhausted',
  IdempotentParameterMismatch: 'TokenMismatch',
  RequestLimitExceeded: 'Retry',
  EC2ThrottledException: 'Retry',
  Throttling: 'Retry',
  ThrottlingException: 'Retry',
  ThrottledException: 'Retry',
  InternalError: 'Retry',
  InternalFailure: 'Retry',
  Unavailable: 'Retry',
  ServiceUnavailable: 'Retry',
}

export function translateEc2Error(action: string, error: unknown): Ec2Error {
  if (!(error instanceof EC2ServiceException)) {
    const detail = error instanceof Error ? error.message : String(error)
    return new Ec2Error(action, 'Retry', 'NoAnswer', detail, error)
  }
  const { name } = error
  // Another text in every answer, of a kilobyte: who repeats a call must be able to tell that it is the same refusal.
  const message = error.message.replace(/\s*Encoded authorization failure message:.*$/s, '')
  const status = error.$metadata.httpStatusCode ?? 0
  return new Ec2Error(action, kindOf(name, message, status), name, message, error)
}

function kindOf(code: string, message: string, httpStatus: number): Ec2ErrorKind {
  if (httpStatus >= 500) return 'Retry'
  // Under which code is not documented (cilium knows the words only: errorInstanceNotRunning).
  if (/is not 'running'/i.test(message)) return 'InstanceNotRunning'
  if (code === 'InvalidParameterValue') return kindOfInvalidValue(message)
  return kindByCode[code] ?? 'Configuration'
}

function kindOfInvalidValue(message: string): Ec2ErrorKind {
  if (/already has an interface attached at device index/i.test(message)) return 'IndexTaken'
  if (/is currently in use/i.test(message)) return 'EniInUse'
  if (/sufficient free ipv4 addresses/i.test(message)) return 'SubnetExhausted'
  return 'Configuration'
}

export function isEc2(error: unknown, ...kinds: readonly Ec2ErrorKind[]): error is Ec2Error {
  return error instanceof Ec2Error && kinds.includes(error.kind)
}
