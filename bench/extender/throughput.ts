// How many pods a second a real kube-scheduler binds on the fleet, with our extender, with the echo server in its place, and with none;
// in rounds, the set-ups taking turns. Pods are created while no scheduler runs; counted is from the first Binding to the last, by the
// API server's audit log.
import { type Summary, summary } from '../quantiles.ts'
import { AuditWindow, bindingTimesOf } from '../../sim/cluster/audit-window.ts'
import { type BenchFleet, clear, namespace, resource } from './bench-fleet.ts'
import { EchoProcess } from './echo-process.ts'
import { noPod, unbound } from './pod-waits.ts'
import { withExtender, withoutExtender } from './scheduler-set-ups.ts'

const boundDeadlineMs = 300_000

export interface SetUp {
  readonly name: string
  readonly configuration: object
}

export interface Throughput {
  readonly name: string
  /** Of each round. */
  readonly podsPerSecond: Summary
  /** Milliseconds from one Binding to the next. */
  readonly gap: Summary
}

export interface ThroughputPlan {
  readonly pods: number
  readonly rounds: number
  /** More set-ups, such as ours with another filterLimit. */
  readonly more: readonly SetUp[]
}

export async function measureThroughput(
  bench: BenchFleet,
  oursURL: string,
  { pods, rounds, more }: ThroughputPlan,
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<readonly Throughput[]> {
  const { running } = bench
  using echo = await EchoProcess.start(running.cluster.adminKubeconfig)
  const setUps: readonly SetUp[] = [
    { name: 'ours', configuration: withExtender(oursURL) },
    { name: 'echo', configuration: withExtender(echo.url) },
    { name: 'none', configuration: withoutExtender() },
    ...more,
  ]
  const measured = new Map(setUps.map(({ name }) => [name, { podsPerSecond: [] as number[], gaps: [] as number[] }]))
  for (let round = 0; round < rounds; round++) {
    // Each set-up is first, second and last in turn.
    const turn = [...setUps.slice(round % setUps.length), ...setUps.slice(0, round % setUps.length)]
    for (const { name, configuration } of turn) {
      const times = await bindAll(bench, configuration, { pods, prefix: `${name}-${round}` })
      await clear(running, signal)
      const seconds = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1000
      measured.get(name)?.podsPerSecond.push((times.length - 1) / seconds)
      measured.get(name)?.gaps.push(...times.slice(1).map((at, n) => at - (times[n] ?? at)))
      log(`round ${round + 1} of ${rounds}, ${name}: ${times.length} pods bound in ${seconds.toFixed(1)} s`)
    }
  }
  return [...measured].map(([name, { podsPerSecond, gaps }]) => {
    return { name, podsPerSecond: summary(podsPerSecond), gap: summary(gaps) }
  })
}

async function bindAll(
  { running }: BenchFleet,
  configuration: object,
  { pods, prefix }: { readonly pods: number; readonly prefix: string },
): Promise<number[]> {
  const names = Array.from({ length: pods }, (_, n) => `${prefix}-${n}`)
  await running.fleet.addPods({ namespace, names, limits: { [resource]: '1' } })
  const window = await AuditWindow.open(running.cluster.auditLog)
  const scheduler = await running.startScheduler(configuration)
  try {
    await noPod(running.api, namespace, unbound, boundDeadlineMs)
  } finally {
    await scheduler.kill()
  }
  return bindingTimesOf(await window.events(), namespace)
}

export function throughputKeys(measured: readonly Throughput[]): Readonly<Record<string, number>> {
  const of = (name: string) => measured.find((one) => one.name === name)?.podsPerSecond.p50 ?? Number.NaN
  return {
    throughput_pods_per_second: of('ours'),
    throughput_over_echo: of('ours') / of('echo'),
    throughput_over_none: of('ours') / of('none'),
  }
}

export function throughputReport(measured: readonly Throughput[]): string {
  const row = (name: string, values: readonly string[]) => name.padEnd(30) + values.map((v) => v.padStart(14)).join('')
  const [ours] = measured
  const lines = measured.map(({ name, podsPerSecond, gap }) =>
    row(name, [
      podsPerSecond.p50.toFixed(1),
      ...[gap.p50, gap.p95, gap.p99].map((ms) => ms.toFixed(1)),
      ((ours?.podsPerSecond.p50 ?? Number.NaN) / podsPerSecond.p50).toFixed(2),
    ]),
  )
  return [row('', ['pods/s p50', 'gap p50 ms', 'gap p95 ms', 'gap p99 ms', 'ours over it']), ...lines].join('\n')
}
