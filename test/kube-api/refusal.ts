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

export const notFound = (what: string) => new Refusal(404, 'NotFound', `${what} not found`)
export const exists = (what: string) => new Refusal(409, 'AlreadyExists', `${what} already exists`)
export const conflict = (what: string) =>
  new Refusal(409, 'Conflict', `the object ${what} has been modified; please apply your changes to the latest version`)
export const invalid = (why: string) => new Refusal(422, 'Invalid', why)
export const gone = () => new Refusal(410, 'Expired', 'too old resource version')
