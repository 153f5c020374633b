// The times of many lives of an ENI, as lines of a table.
import { summary, table } from '../../bench/quantiles.ts'
import type { ENIRound } from './eni-round.ts'

const total = 'pod created -> Running'

/** The ratio is to the whole time until Running, for attach and release alike: the processor is emulated. */
export function roundsTable(rounds: readonly ENIRound[]): string[] {
  const whole = rounds.map(({ attach }) => Object.values(attach).reduce((sum, ms) => sum + ms, 0))
  const base = summary(whole).p50
  const attach = { ...summaries(rounds.map((round) => round.attach)), [total]: summary(whole) }
  const release = summaries(rounds.map((round) => round.release))
  const errorMs = Math.max(...rounds.map(({ clockErrorMs }) => clockErrorMs))
  return [
    `${rounds.length} rounds, each step after the one before`,
    ...table(attach, base).split('\n'),
    'since the pod was deleted',
    ...table(release, base).split('\n'),
    `between a time of the guest and one of this machine: ${errorMs.toFixed(0)} ms more or less at most`,
  ]
}

function summaries(rounds: readonly Readonly<Record<string, number>>[]) {
  const names = Object.keys(rounds[0] ?? {})
  return Object.fromEntries(names.map((name) => [name, summary(rounds.map((round) => round[name] ?? Number.NaN))]))
}
