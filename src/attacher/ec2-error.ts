// EC2's error codes, sorted by what the attacher does about them. Codes and meanings: EC2 API reference, and the issues of
// the peers that met them. InvalidParameterValue means three different things, IncorrectState and AuthFailure two each; only their
// messages tell which.
import { EC2ServiceException } from '@aws-sdk/client-ec2'
import { ZodError } from 'zod'

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
  /** EC2 does not know who calls, or not any more: wrong until somebody mends the credentials, whatever is asked for. */
  | 'Credentials'
  /** One call too many for the account's bucket of this action; it was not done. */
  | 'Throttled'
  /** The outcome is unknown: look, then try again. */
  | 'Retry'

export class Ec2Error extends Error {
  /** The call that failed, such as AttachNetworkInterface. */
  readonly action: string
  readonly kind: Ec2ErrorKind
  /** EC2's own code, such as InvalidSubnetID.NotFound. */
  readonly code: string
  /** EC2's own words. */
  readonly detail: string

  constructor(action: string, kind: Ec2ErrorKind, code: string, detail: string, cause: unknown) {
    super(`EC2 ${action}: ${code}: ${detail}`, { cause })
    this.name = 'Ec2Error'
    this.action = action
    this.kind = kind
    this.code = code
    this.detail = detail
  }

  /** Its message; the same for a call that was not made as for the one that was. */
  get words(): string {
    return `EC2 ${this.action}: ${this.code}: ${this.detail}`
  }

  /** For a call that would have ended as this one did. */
  ofCallNotMade(action: string): Ec2Error {
    const error = new Ec2Error(action, this.kind, this.code, this.detail, this)
    error.message += ' (as an earlier call ended; not asked now)'
    return error
  }

  /** This call was not made. */
  get isOfEarlierCall(): boolean {
    return this.cause instanceof Ec2Error
  }
}

const kindByCode: Readonly<Record<string, Ec2ErrorKind>> = {
  'InvalidNetworkInterfaceID.NotFound': 'NotFound',
  'InvalidAttachmentID.NotFound': 'NotFound',
  AttachmentLimitExceeded: 'NodeFull',
  'InvalidNetworkInterface.InUse': 'EniInUse',
  IncorrectInstanceState: 'InstanceNotRunning',
  'InvalidInstanceID.NotFound': 'InstanceNotRunning',
  InsufficientFreeAddressesInSubnet: 'SubnetExhausted',
  InsufficientCidrBlocks: 'SubnetExhausted',
  IdempotentParameterMismatch: 'TokenMismatch',
  ExpiredToken: 'Credentials',
  ExpiredTokenException: 'Credentials',
  RequestExpired: 'Credentials',
  InvalidClientTokenId: 'Credentials',
  UnrecognizedClientException: 'Credentials',
  SignatureDoesNotMatch: 'Credentials',
  MissingAuthenticationToken: 'Credentials',
  IncompleteSignature: 'Credentials',
  // Of the account, whatever is asked for: EC2 has not been opened to it (in this region), or was closed.
  OptInRequired: 'Credentials',
  PendingVerification: 'Credentials',
  Blocked: 'Credentials',
  RequestLimitExceeded: 'Throttled',
  EC2ThrottledException: 'Throttled',
  Throttling: 'Throttled',
  ThrottlingException: 'Throttled',
  ThrottledException: 'Throttled',
  InternalError: 'Retry',
  InternalFailure: 'Retry',
  Unavailable: 'Retry',
  ServiceUnavailable: 'Retry',
}

/** Where EC2's own words do not say what to do. Quotas: AWS Service Quotas, Amazon VPC. */
const adviceByCode: Readonly<Record<string, string>> = {
  AttachmentLimitExceeded: 'add nodes, or use a type that takes more ENIs',
  NetworkInterfaceLimitExceeded:
    'raise the quota "Network interfaces per Region", L-DF5E4CA3, or delete ENIs that nobody uses',
  SecurityGroupsPerInterfaceLimitExceeded:
    'name fewer security groups in the NodeENI, or raise the quota "Security groups per network interface"',
}

export function translateEc2Error(action: string, error: unknown): Ec2Error {
  if (error instanceof ZodError) {
    const detail = error.issues.map(({ path, message }) => `${path.join('.') || 'answer'}: ${message}`).join('; ')
    return new Ec2Error(action, 'Retry', 'UnexpectedAnswer', detail, error)
  }
  const status = httpStatusOf(error)
  if (!(error instanceof EC2ServiceException)) {
    const detail = detailOf(error)
    // The SDK found none, or could not renew them: nothing was sent.
    if (error instanceof Error && /Credentials/.test(error.name))
      return new Ec2Error(action, 'Credentials', 'NoCredentials', detail, error)
    if (status === undefined) return new Ec2Error(action, 'Retry', 'NoAnswer', detail, error)
    return new Ec2Error(action, 'Retry', 'UnexpectedAnswer', `HTTP status ${status}: ${detail}`, error)
  }
  const { name } = error
  // What a load balancer or a proxy says, whatever its status, is not EC2's word.
  if (name === unnamed) {
    const detail = `HTTP status ${status ?? 0}, and no error of EC2`
    return new Ec2Error(action, 'Retry', 'UnexpectedAnswer', detail, error)
  }
  // Another text in every answer, of a kilobyte: who repeats a call must be able to tell that it is the same refusal.
  const message = error.message.replace(/\s*Encoded authorization failure message:.*$/s, '')
  const advice = adviceByCode[name] === undefined ? '' : ` (${adviceByCode[name]})`
  return new Ec2Error(action, kindOf(action, name, message, status ?? 0), name, message + advice, error)
}

/** The SDK's name for an error without a code. */
const unnamed = 'Unknown'

/** Also of an answer that the SDK could not read; undefined: there was none. */
function httpStatusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode
}

/** The SDK adds lines for whoever debugs it; Node's error for a host with several addresses has its words inside only. */
function detailOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const inside = error instanceof AggregateError ? error.errors.map(detailOf).join('; ') : ''
  return (error.message || inside).split('\n', 1)[0] ?? ''
}

function kindOf(action: string, code: string, message: string, httpStatus: number): Ec2ErrorKind {
  // EC2 gives 503 to a throttled call.
  if (kindByCode[code] === 'Throttled') return 'Throttled'
  if (httpStatus >= 500) return 'Retry'
  // Under which code is not documented (cilium knows the words only: errorInstanceNotRunning).
  if (/is not 'running'/i.test(message)) return 'InstanceNotRunning'
  if (code === 'InvalidParameterValue') return kindOfInvalidValue(message)
  if (code === 'IncorrectState') return kindOfIncorrectState(action, message)
  // Also said of what belongs to somebody else (aws-k8s-tester#70, at a detach): of that alone.
  if (code === 'AuthFailure') return /specified resource/i.test(message) ? 'Configuration' : 'Credentials'
  return kindByCode[code] ?? 'Configuration'
}

function kindOfInvalidValue(message: string): Ec2ErrorKind {
  if (/already has an interface attached at device index/i.test(message)) return 'IndexTaken'
  if (/is currently in use/i.test(message)) return 'EniInUse'
  if (/sufficient free ipv4 addresses/i.test(message)) return 'SubnetExhausted'
  return 'Configuration'
}

/** Of the instance or of the ENI; a detach is refused so while another one is under way. */
function kindOfIncorrectState(action: string, message: string): Ec2ErrorKind {
  const isOfEni = /interface|\beni-/i.test(message)
  return action === 'AttachNetworkInterface' && !isOfEni ? 'InstanceNotRunning' : 'EniInUse'
}

export function isEc2(error: unknown, ...kinds: readonly Ec2ErrorKind[]): error is Ec2Error {
  return error instanceof Ec2Error && kinds.includes(error.kind)
}

/** One on ENIs is missing on every node; one on instances may hang on a tag of this one. */
export function isRightOnEnis({ code, message }: Ec2Error): boolean {
  return code === 'UnauthorizedOperation' && !message.includes(':instance/')
}

/**
 * What EC2 says of an ENI that it has just made and does not know yet; a policy that goes by tags refuses one whose tags IAM does not
 * know yet (hashicorp/terraform-provider-aws#27028).
 */
export function isMaybeTooNew(error: unknown): error is Ec2Error {
  return isEc2(error, 'NotFound') || (isEc2(error, 'Configuration') && isRightOnEnis(error))
}
