// `make bench-extender`: the extender under load, all of it from dist. In this process and against the API double: what filter and
// prioritize take (bench/extender/filter-latency.ts) and what a watch event costs. On a real control plane with thousands of nodes that
// are only objects (sim/fleet): bind, kube-scheduler's throughput, memory, and 1,000 pods that need an ENI each.
//
// EXTENDER_NODE_OPTIONS='--cpu-prof --cpu-prof-dir=...' is for a profile of the extender that filter is asked of. ONLY=filter,ledger,bind,throughput,memory,burst takes some of them. For a quick look: NODES=200 PODS=200 ROUNDS=1 SECONDS=5.
// LIMITS=0,64,256 adds set-ups of ours with these filterLimits to the throughput.
import { interruption } from '../sim/cluster/interruption.ts'
import { Narrator } from '../sim/terminal/narrator.ts'
import { TerminalRun } from '../sim/terminal/run.ts'
import { type BenchFleet, startBenchFleet } from './extender/bench-fleet.ts'
import { bindKeys, bindRows, measureBind } from './extender/bind-cost.ts'
import { BurstFleet, burstKeys, burstReport } from './extender/burst.ts'
import { ExtenderStatus } from './extender/extender-status.ts'
import { filterKeys, filterReport, measureFilter } from './extender/filter-latency.ts'
import { ledgerKeys, ledgerRows, measureLedger } from './extender/ledger-events.ts'
import { measureMemory, memoryKeys } from './extender/memory.ts'
import { type Keys, rounded, saveKeys } from './extender/results.ts'
import { withExtender } from './extender/scheduler-set-ups.ts'
import { measureThroughput, throughputKeys, throughputReport } from './extender/throughput.ts'
import { table } from './quantiles.ts'

const parts = ['filter', 'ledger', 'bind', 'throughput', 'memory', 'burst'] as const
type Part = (typeof parts)[number]

const env = process.env
const sizes = {
  nodes: Number(env['NODES'] || 5_000),
  /** In each round of the throughput. */
  pods: Number(env['PODS'] || 1_000),
  rounds: Number(env['ROUNDS'] || 5),
  filterSeconds: Number(env['SECONDS'] || 60),
  ledgerEvents: 50_000,
  ordinaryPodsPerNode: 4,
  burstNodes: 200,
}
const limits = (env['LIMITS'] ?? '').split(',').filter((limit) => limit !== '')

const say = new Narrator((text) => void process.stdout.write(text))
const log = (line: string) => say.line(line)
const signal = interruption(log)

process.exit(await main(partsAsked()))

function partsAsked(): ReadonlySet<Part> {
  const asked = (env['ONLY'] || parts.join(',')).split(',')
  const unknown = asked.find((name) => !parts.some((part) => part === name))
  if (unknown !== undefined) throw new Error(`ONLY=${unknown}: there is ${parts.join(', ')}`)
  return new Set(parts.filter((part) => asked.includes(part)))
}

async function main(asked: ReadonlySet<Part>): Promise<number> {
  if (asked.has('filter')) await filterPart()
  if (asked.has('ledger')) ledgerPart()
  const onFleet = (['bind', 'throughput', 'memory'] as const).some((part) => asked.has(part))
  const ends = [onFleet ? await onBenchFleet(asked) : 0, asked.has('burst') ? await burstPart() : 0]
  return ends.find((code) => code !== 0) ?? 0
}

function report(title: string, text: string, keys: Keys): void {
  say.chapter(title)
  say.line(text)
  say.line(JSON.stringify(rounded(keys)))
  saveKeys(rounded(keys))
}

async function filterPart(): Promise<void> {
  const measured = await measureFilter(sizes.filterSeconds)
  report('filter and prioritize', filterReport(measured), filterKeys(measured))
}

function ledgerPart(): void {
  const measured = measureLedger(sizes.ledgerEvents)
  report('one watch event', table(ledgerRows(measured), measured.ledger.p50, 1, 'us'), ledgerKeys(measured))
}

function onBenchFleet(asked: ReadonlySet<Part>): Promise<number> {
  let bench: BenchFleet
  const start = async () => {
    bench = await startBenchFleet(sizes.nodes, log, signal)
    return bench.running
  }
  return new TerminalRun(say, signal).run(start, async () => {
    if (asked.has('bind') || asked.has('throughput')) await withExtenderOn(bench, asked)
    if (!asked.has('memory')) return
    const pods = sizes.nodes * sizes.ordinaryPodsPerNode
    const measured = await measureMemory(bench, { pods })
    const { readySeconds, rssMB, peakMB } = measured
    const text = `${rssMB.toFixed(0)} MB RSS, ${peakMB.toFixed(0)} MB at most; ready after ${readySeconds.toFixed(2)} s`
    report(`memory with ${sizes.nodes} nodes, ${pods} pods, ${2 * sizes.nodes} ENIs`, text, memoryKeys(measured))
  })
}

async function withExtenderOn(bench: BenchFleet, asked: ReadonlySet<Part>): Promise<void> {
  const { running } = bench
  const start = async (more: Readonly<Record<string, string>>) => {
    const status = await ExtenderStatus.onFreePort()
    const extender = await running.startExtender({ ...status.env, ...more })
    await status.ready(signal)
    return extender
  }
  const ours = await start({})
  if (asked.has('bind')) {
    const measured = await measureBind(bench, ours.url, signal)
    report('bind', table(bindRows(measured), measured.alone.floor.p50, 1), bindKeys(measured))
  }
  if (!asked.has('throughput')) return
  const limited = await Promise.all(limits.map((limit) => start({ JIT_ENI_FILTER_LIMIT: limit })))
  const more = limited.map(({ url }, n) => ({ name: `ours, limit ${limits[n]}`, configuration: withExtender(url) }))
  const plan = { pods: sizes.pods, rounds: sizes.rounds, more }
  const measured = await measureThroughput(bench, ours.url, plan, log, signal)
  report(`throughput on ${sizes.nodes} nodes`, throughputReport(measured), throughputKeys(measured))
}

function burstPart(): Promise<number> {
  const plan = { nodes: Math.min(sizes.burstNodes, sizes.nodes), pods: sizes.pods }
  const start = () => BurstFleet.start(plan, log, signal)
  return new TerminalRun(say, signal).run(start, async (fleet) => {
    const measured = await fleet.measure(plan, signal)
    report('pods that need an ENI each', burstReport(measured), burstKeys(measured))
  })
}
