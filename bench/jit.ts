// `make bench`: how long a pod waits from its creation to its Binding, on the real cluster: with an ENI attached just in time, with
// a free ENI, and as a plain pod on the same scheduler. From the client just before it posts the pod, to the API server's receipt of
// the Binding (audit log). EC2's own time is what is configured in the simulated EC2, nothing else.
//
// `make bench ROUNDS=5`, for a quick look, takes five pods of each kind in place of 50.
import { mkdirSync, writeFileSync } from 'node:fs'
import { isIdle } from '../src/api/eni-attachment.ts'
import { interruption } from '../sim/cluster/interruption.ts'
import { type Installation, startInstallation } from '../sim/installation/installation.ts'
import { Narrator } from '../sim/terminal/narrator.ts'
import { TerminalRun } from '../sim/terminal/run.ts'
import { nothing, oneENI, PodStopwatch } from './pod-stopwatch.ts'
import { summary, table } from './quantiles.ts'

const attachMs = 2000
const labels = { ng: 'multi-eni' }
const nodes = [
  { name: 'node-a', zone: 'a', instanceType: 'm5.4xlarge', labels },
  { name: 'node-b', zone: 'a', instanceType: 'm5.4xlarge', labels },
] as const
const results = new URL('results/', import.meta.url)

const say = new Narrator((text) => void process.stdout.write(text))
const log = (line: string) => say.line(line)
const signal = interruption(log)
const rounds = Number(process.env['ROUNDS'] || 50)

process.exit(await new TerminalRun(say, signal).run(start, bench))

interface Measured {
  readonly noDelay: readonly number[]
  readonly slowEC2: readonly number[]
  readonly free: readonly number[]
  readonly plain: readonly number[]
}

async function start(): Promise<Installation> {
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`ROUNDS=${process.env['ROUNDS']} is no number of pods`)
  return startInstallation({ nodes, log, signal })
}

async function bench(installation: Installation): Promise<void> {
  using stopwatch = await PodStopwatch.start(installation, say, signal)
  report(await measureAll(installation, stopwatch))
}

async function measureAll({ ec2 }: Installation, stopwatch: PodStopwatch): Promise<Measured> {
  const measureJit = async (delayMs: number) => {
    ec2.setDelays({ attachMs: delayMs, deviceMs: delayMs })
    const ready = (attachments: readonly unknown[]) => attachments.length === 0
    return stopwatch.measure({ name: `jit-${delayMs}`, rounds, limits: oneENI, ready })
  }
  await stopwatch.applyNodeENI(labels, '0s')
  const noDelay = await measureJit(0)
  const slowEC2 = await measureJit(attachMs)
  await stopwatch.applyNodeENI(labels, '10m')
  const free = await stopwatch.measure({
    name: 'free',
    rounds,
    limits: oneENI,
    ready: (attachments) => attachments.some((a) => isIdle(a) && a.status?.device?.advertised === true),
  })
  const plain = await stopwatch.measure({ name: 'plain', rounds, limits: nothing, ready: () => true })
  return { noDelay, slowEC2, free, plain }
}

function report({ noDelay, slowEC2, free, plain }: Measured): void {
  const overhead = summary([...noDelay, ...slowEC2.map((ms) => ms - attachMs)])
  const rows = {
    'JIT, EC2 without delay': summary(noDelay),
    [`JIT, attach takes ${attachMs} ms`]: summary(slowEC2),
    "JIT above EC2's own time": overhead,
    'a free ENI is there': summary(free),
    'plain pod, same scheduler': summary(plain),
  }
  say.line(`\npod created -> Binding, ${rounds} pods each, one after the other\n${table(rows, summary(plain).p50)}`)
  const keys = {
    jit_overhead_p50_ms: overhead.p50,
    jit_overhead_p99_ms: overhead.p99,
    reuse_minus_plain_p50_ms: summary(free).p50 - summary(plain).p50,
    jit_no_delay_p50_ms: summary(noDelay).p50,
    jit_2s_attach_p50_ms: summary(slowEC2).p50,
    plain_p50_ms: summary(plain).p50,
  }
  mkdirSync(results, { recursive: true })
  writeFileSync(new URL('jit.json', results), `${JSON.stringify(keys, undefined, 2)}\n`)
  say.line(JSON.stringify(keys))
}
