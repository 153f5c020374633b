// A refusal as EC2 words it: code, message and HTTP status. Thrown by every action and turned into XML once, in wire/service.ts:
// here an error is an answer of the API, not a decision of ours, so it takes the way that EC2's own errors take.

export class Ec2Error extends Error {
  readonly code: string
  readonly status: number

  constructor(code: string, message: string, status = 400) {
    super(message)
    this.name = code
    this.code = code
    this.status = status
  }
}
