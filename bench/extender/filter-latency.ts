// filter and prioritize about 100, 1,000 and 5,000 node names, over one connection that stays open, call by call in turn with the echo
// server. Ours is a process from dist, as it ships.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { FakeApiServer } from '../../test/kube-api/fake-api-server.ts'
import { type Summary, summary } from '../quantiles.ts'
import { Caller } from './caller.ts'
import { EchoProcess } from './echo-process.ts'
import { ExtenderProcess } from './extender-process.ts'
import { filterResources, FilterWorld, type Presence, presences, type Verb, verbs } from './filter-world.ts'

export const nameCounts = [100, 1_000, 5_000] as const
/** Both servers compile what runs often. */
const warmUpRounds = 30

interface Cell {
  readonly verb: Verb
  readonly presence: Presence
  readonly names: (typeof nameCounts)[number]
  readonly ours: Summary
  readonly floor: Summary
  /** Each call of ours less the echo beside it. */
  readonly own: Summary
  readonly calls: number
}
export type FilterLatency = readonly Cell[]

export async function measureFilter(seconds: number): Promise<FilterLatency> {
  const directory = await mkdtemp(join(tmpdir(), 'jit-eni-bench-'))
  const api = await FakeApiServer.start()
  try {
    const world = new FilterWorld(api, Math.max(...nameCounts))
    const { kubeconfig } = api
    const logFile = join(directory, 'extender.log')
    const extender = await ExtenderProcess.start({ kubeconfig, resources: filterResources, logFile })
    try {
      using echo = await EchoProcess.start()
      using ours = new Caller(extender.url, 1)
      using floor = new Caller(echo.url, 1)
      return await callInTurn({ ours, floor }, world, seconds)
    } finally {
      await extender.stop()
    }
  } finally {
    await api.stop()
    await rm(directory, { recursive: true })
  }
}

async function callInTurn(
  { ours, floor }: { readonly ours: Caller; readonly floor: Caller },
  world: FilterWorld,
  seconds: number,
): Promise<FilterLatency> {
  const series = presences.flatMap((presence) =>
    nameCounts.flatMap((names) =>
      verbs
        // kube-scheduler does not ask to score nodes of which none has passed.
        .filter((verb) => verb === 'filter' || presence !== 'none')
        .map((verb) => ({
          verb,
          presence,
          names,
          body: world.request(verb, presence, names),
          oursMs: [] as number[],
          floorMs: [] as number[],
        })),
    ),
  )
  let endsAt = Number.POSITIVE_INFINITY
  for (let round = 0; performance.now() < endsAt; round++) {
    if (round === warmUpRounds) endsAt = performance.now() + seconds * 1000
    for (const { verb, body, oursMs, floorMs } of series) {
      const isOursFirst = round % 2 === 0
      const first = await (isOursFirst ? ours : floor).call(verb, body)
      const second = await (isOursFirst ? floor : ours).call(verb, body)
      if (round < warmUpRounds) continue
      oursMs.push((isOursFirst ? first : second).ms)
      floorMs.push((isOursFirst ? second : first).ms)
    }
  }
  return series.map(({ verb, presence, names, oursMs, floorMs }) => ({
    verb,
    presence,
    names,
    calls: oursMs.length,
    ours: summary(oursMs),
    floor: summary(floorMs),
    own: summary(oursMs.map((ms, call) => ms - (floorMs[call] ?? Number.NaN))),
  }))
}

export function filterKeys(cells: FilterLatency): Readonly<Record<string, number>> {
  const cell = cells.find(({ verb, presence, names }) => verb === 'filter' && presence === 'all' && names === 5_000)
  if (cell === undefined) throw new Error('filter with 5,000 names was not measured')
  return {
    filter_5000_p50_ms: cell.ours.p50,
    filter_5000_p95_ms: cell.ours.p95,
    filter_5000_p99_ms: cell.ours.p99,
    floor_5000_p50_ms: cell.floor.p50,
    filter_5000_over_floor: cell.ours.p50 / cell.floor.p50,
    filter_5000_own_p50_ms: cell.own.p50,
  }
}

export function filterReport(cells: FilterLatency): string {
  const heads = ['calls', 'p50 ms', 'p95 ms', 'p99 ms', 'floor p50', 'floor p99', 'ratio p50', 'own p50', 'ms/1000']
  const row = (name: string, values: readonly string[]) => name.padEnd(38) + values.map((v) => v.padStart(10)).join('')
  const lines = cells.map(({ verb, presence, names, calls, ours, floor, own }) =>
    row(`${verb}, on ${presence}, ${names} names`, [
      String(calls),
      ...[ours.p50, ours.p95, ours.p99, floor.p50, floor.p99].map((ms) => ms.toFixed(2)),
      (ours.p50 / floor.p50).toFixed(2),
      own.p50.toFixed(2),
      // Growth is linear when this falls or stays with the number of names.
      ((ours.p50 / names) * 1_000).toFixed(2),
    ]),
  )
  return [row('', heads), ...lines].join('\n')
}
