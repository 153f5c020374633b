// MaxResults and NextToken of the Describe actions. A token says after which item to go on, so pages stay right when items
// come and go between two calls.

import { refusals } from '../state/refusals.ts'

import type { Parameter } from './parameter.ts'

export interface PageRequest {
  readonly maxResults: number | undefined
  readonly nextToken: string | undefined
}

export interface PageLimits {
  readonly least: number
  readonly most: number
}

/** EC2's name for the list of ids that may not come together with MaxResults, and what was sent in it. */
export interface ExclusiveIds {
  readonly name: string
  readonly ids: readonly string[]
}

export function readPage(parameters: Parameter, limits: PageLimits, exclusive?: ExclusiveIds): PageRequest {
  const maxResults = parameters.at('MaxResults').integer()
  const nextToken = parameters.at('NextToken').text()
  if (maxResults !== undefined && exclusive !== undefined && exclusive.ids.length > 0)
    throw refusals.idsWithMaxResults(exclusive.name)
  if (maxResults !== undefined && (maxResults < limits.least || maxResults > limits.most)) {
    const why = `Expecting a value between ${limits.least} and ${limits.most}.`
    throw refusals.badValue(String(maxResults), 'maxResults', why)
  }
  return { maxResults, nextToken }
}

export interface Page<Item> {
  readonly items: readonly Item[]
  readonly nextToken: string | undefined
}

/** `all` is in order of serial. Without MaxResults there is one page of at most `defaultSize`. */
export function page<Item extends { readonly serial: number }>(
  all: readonly Item[],
  request: PageRequest,
  defaultSize = 1000,
): Page<Item> {
  const after = request.nextToken === undefined ? 0 : serialIn(request.nextToken)
  const rest = all.filter((item) => item.serial > after)
  const items = rest.slice(0, request.maxResults ?? defaultSize)
  const last = items.at(-1)
  return { items, nextToken: last !== undefined && items.length < rest.length ? tokenFor(last.serial) : undefined }
}

function tokenFor(serial: number): string {
  return Buffer.from(`after ${serial}`).toString('base64')
}

function serialIn(token: string): number {
  const serial = /^after (\d+)$/.exec(Buffer.from(token, 'base64').toString())?.[1]
  if (serial === undefined) throw refusals.badPageToken()
  return Number(serial)
}
