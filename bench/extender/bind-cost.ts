// bind with a free device: alone, one call after the other, and with 200 in flight, in turn with the echo server's bind, which posts the
// Binding and nothing else. The difference is a claim that is written, its acknowledgement by the node, and what ours does itself.
import { type Summary, summary } from '../quantiles.ts'
import { type BenchFleet, clear, namespace, resource } from './bench-fleet.ts'
import { Caller } from './caller.ts'
import { EchoProcess } from './echo-process.ts'
import { podUIDs } from './pod-waits.ts'

const inFlightMax = 200
const rounds = 5

export interface BindCost {
  readonly inFlight: number
  readonly alone: { readonly ours: Summary; readonly floor: Summary }
  readonly together: { readonly ours: Summary; readonly floor: Summary }
}

export async function measureBind({ running }: BenchFleet, oursURL: string, signal: AbortSignal): Promise<BindCost> {
  const inFlight = Math.min(inFlightMax, running.fleet.nodes.length)
  using echo = await EchoProcess.start(running.cluster.adminKubeconfig)
  using ours = new Caller(oursURL, inFlight)
  using floor = new Caller(echo.url, inFlight)
  const times = {
    alone: { ours: [] as number[], floor: [] as number[] },
    together: { ours: [] as number[], floor: [] as number[] },
  }
  for (let round = 0; round <= rounds; round++) {
    for (const [name, caller] of [
      ['floor', floor],
      ['ours', ours],
    ] as const) {
      for (const way of ['alone', 'together'] as const) {
        const calls = await callsFor(running, `${way}-${name}-${round}`, inFlight)
        const ms = await (way === 'alone' ? oneByOne(caller, calls) : allAtOnce(caller, calls))
        // The first one warms up.
        if (round > 0) times[way][name].push(...ms)
        await clear(running, signal)
      }
    }
  }
  const summaries = ({ ours: o, floor: f }: typeof times.alone) => ({ ours: summary(o), floor: summary(f) })
  return { inFlight, alone: summaries(times.alone), together: summaries(times.together) }
}

/** Bodies of bind, each for another node. */
async function callsFor({ fleet, api }: BenchFleet['running'], prefix: string, count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, n) => `${prefix}-${n}`)
  await fleet.addPods({ namespace, names, limits: { [resource]: '1' } })
  const uids = await podUIDs(api, namespace)
  return names.map((PodName, n) => {
    return JSON.stringify({ PodName, PodNamespace: namespace, PodUID: uids.get(PodName), Node: fleet.nodes[n]?.name })
  })
}

async function oneByOne(caller: Caller, bodies: readonly string[]): Promise<number[]> {
  const ms: number[] = []
  for (const body of bodies) ms.push(await bind(caller, body))
  return ms
}

function allAtOnce(caller: Caller, bodies: readonly string[]): Promise<number[]> {
  return Promise.all(bodies.map((body) => bind(caller, body)))
}

async function bind(caller: Caller, body: string): Promise<number> {
  const { ms, answer } = await caller.call('bind', body)
  const { Error: problem } = JSON.parse(answer) as { Error: string }
  if (problem !== '') throw new Error(`bind was refused: ${problem}`)
  return ms
}

export function bindKeys({ alone, together }: BindCost): Readonly<Record<string, number>> {
  return {
    bind_alone_p50_ms: alone.ours.p50,
    bind_alone_p99_ms: alone.ours.p99,
    bind_alone_over_floor: alone.ours.p50 / alone.floor.p50,
    bind_200_p50_ms: together.ours.p50,
    bind_200_p99_ms: together.ours.p99,
    bind_200_over_floor: together.ours.p50 / together.floor.p50,
  }
}

export function bindRows({ inFlight, alone, together }: BindCost): Readonly<Record<string, Summary>> {
  return {
    'bind alone': alone.ours,
    'its floor, a Binding': alone.floor,
    [`bind, ${inFlight} in flight`]: together.ours,
    [`its floor, ${inFlight} in flight`]: together.floor,
  }
}
