// A watch: first what has happened since the version asked for, then every change, one JSON object a line, until it is closed.
import type { ServerResponse } from 'node:http'

import { fieldSelector } from './field-selector.ts'
import type { Change, ObjectStore } from './object-store.ts'

export function serveWatch(store: ObjectStore, query: URLSearchParams, response: ServerResponse): void {
  const isSelected = fieldSelector(query.get('fieldSelector') ?? '')
  const asked = query.get('resourceVersion') ?? ''
  const past = asked === '' || asked === '0' ? existing(store) : store.changesSince(Number(asked))
  response.writeHead(200, { 'content-type': 'application/json' })
  response.flushHeaders()
  const send = ({ type, object, before }: Change) => {
    const was = before !== undefined && isSelected(before)
    const is = type !== 'DELETED' && isSelected(object)
    if (was || is) response.write(`${JSON.stringify({ type: typeFor(was, is), object })}\n`)
  }
  past.forEach(send)
  const off = store.onChange(send)
  response.once('close', off)
}

/** An object that no longer matches the selector is deleted for this watch, and added when it matches again. */
function typeFor(was: boolean, is: boolean): Change['type'] {
  if (!is) return 'DELETED'
  return was ? 'MODIFIED' : 'ADDED'
}

function existing(store: ObjectStore): Change[] {
  return store.list().map((object) => ({ type: 'ADDED', object, before: undefined }))
}
