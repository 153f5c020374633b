// A request as every transport hands it over.
import type { JsonObject } from './json.ts'
import type { Meta } from './resources.ts'

export interface ApiRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly contentType: string
  readonly body: unknown
}

/** An object as a client sends it. */
export type Body = JsonObject & { readonly metadata?: Partial<Meta> }
