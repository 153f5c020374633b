// What the API server answers when it does not do what was asked.

export class Refusal extends Error {
  readonly code: number
  readonly reason: string

  constructor(code: number, reason: string, message: string) {
    super(message)
    this.code = code
    this.reason = reason
  }
}

export const badRequest = (why: string) => new Refusal(400, 'BadRequest', why)
export const notFound = (what: string) => new Refusal(404, 'NotFound', `${what} not found`)
export const exists = (what: string) => new Refusal(409, 'AlreadyExists', `${what} already exists`)
export const conflict = (what: string) =>
  new Refusal(409, 'Conflict', `the object ${what} has been modified; please apply your changes to the latest version`)
export const invalid = (why: string) => new Refusal(422, 'Invalid', why)
export const gone = (asked: number, oldest: number) =>
  new Refusal(410, 'Expired', `too old resource version: ${asked} (${oldest})`)

/** The body that says so: metav1.Status. */
export function statusOf({ code, reason, message }: Refusal): object {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message }
}
