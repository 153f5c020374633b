// What the API server (or the way to it) answered when a request did not succeed.

export class KubeError extends Error {
  /** HTTP status, or 0 when no answer came. */
  readonly code: number
  /** metav1.Status reason, such as NotFound or Conflict. */
  readonly reason: string

  constructor(tried: string, code: number, reason: string, detail: string, cause?: unknown) {
    super(`${tried}: ${detail}`, { cause })
    this.name = 'KubeError'
    this.code = code
    this.reason = reason
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof KubeError && error.code === 404
}

/** 409: another writer was faster, or the object exists already. */
export function isConflict(error: unknown): boolean {
  return error instanceof KubeError && error.code === 409
}

/** 422: among others, a patch that names the uid of an object whose name another one has now. */
export function isInvalid(error: unknown): boolean {
  return error instanceof KubeError && error.code === 422
}

/** The API server will not do it, whenever it is asked. */
export function isForbidden(error: unknown): boolean {
  return error instanceof KubeError && error.code === 403
}

export function isGone(error: unknown): boolean {
  return error instanceof KubeError && error.code === 410
}
