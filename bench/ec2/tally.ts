// What the calls to EC2 in a stretch of time add up to.
import type { Call } from '../../sim/ec2/wire/call-log.ts'

export interface Tally {
  readonly byAction: Readonly<Record<string, number>>
  readonly all: number
  readonly changes: number
  readonly describes: number
  readonly throttled: number
}

export function tally(calls: readonly Call[]): Tally {
  const byAction: Record<string, number> = {}
  for (const { action } of calls) byAction[action] = (byAction[action] ?? 0) + 1
  const describes = calls.filter(({ action }) => action.startsWith('Describe')).length
  return {
    byAction,
    all: calls.length,
    changes: calls.length - describes,
    describes,
    throttled: calls.filter(({ error }) => error === 'RequestLimitExceeded').length,
  }
}
