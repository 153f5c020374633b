// `make bench-device-plugin`: on a real kubelet, how long a card takes from the moment in which the device plugin sees it until the
// kubelet can give it to a pod, over 100 cards that come and go; and how long the device plugin takes from the start of its process
// until its resource is registered with the kubelet, over 20 starts. bench/device-plugin/card-times.ts names the clock.
//
// `make bench-device-plugin CARDS=10 STARTS=2` for a quick look.
import { mkdirSync, writeFileSync } from 'node:fs'
import { interruption } from '../sim/cluster/interruption.ts'
import { network } from '../sim/installation/account.ts'
import { type Installation, startInstallation } from '../sim/installation/installation.ts'
import { asStream } from '../sim/installation/manifests.ts'
import { Observer } from '../sim/installation/observer.ts'
import type { LogLine } from '../sim/installation/program.ts'
import { Narrator } from '../sim/terminal/narrator.ts'
import { TerminalRun } from '../sim/terminal/run.ts'
import { Waiting } from '../sim/terminal/waiting.ts'
import { CardClock } from './device-plugin/card-times.ts'
import { type Summary, summary } from './quantiles.ts'

const resource = 'intel.com/upf_dataplane'
const labels = { ng: 'multi-eni' }
/** One, because nodes do not share their processors. */
const nodes = [{ name: 'node-a', zone: 'a', instanceType: 'm5.4xlarge', labels }] as const
const results = new URL('results/', import.meta.url)
const reportedEvery = 20

const say = new Narrator((text) => void process.stdout.write(text))
const log = (line: string) => say.line(line)
const signal = interruption(log)
const wanted = { cards: numberFrom('CARDS', 100), starts: numberFrom('STARTS', 20) }

process.exit(await new TerminalRun(say, signal).run(start, bench))

async function start(): Promise<Installation> {
  return startInstallation({ nodes, code: 'dist', log, signal })
}

async function bench(installation: Installation): Promise<void> {
  const observer = new Observer(installation.cluster.adminKubeconfig)
  await observer.start()
  try {
    const cards = await cardsComeAndGo(installation, observer)
    const starts = await startsOf(installation)
    report(cards, starts)
  } finally {
    observer.stop()
  }
}

/** One card at a time: the NodeENI keeps one ENI warm, then none, and so on. */
async function cardsComeAndGo(installation: Installation, observer: Observer): Promise<CardClock> {
  const clock = new CardClock(
    installation,
    nodes.map(({ name }) => name),
  )
  const waiting = new Waiting({ say: new Narrator(() => undefined), observer, signal })
  for (let done = 0; done < wanted.cards; done = clock.cards.length) {
    await applyNodeENI(installation, 1)
    await waiting.until('the node has a device', () => {
      const advertised = observer.allAttachments().filter(({ status }) => status?.device?.advertised === true)
      return advertised.length === nodes.length
    })
    await applyNodeENI(installation, 0)
    await waiting.until('all of them are released', () => observer.allAttachments().length === 0)
    if (clock.cards.length % reportedEvery === 0) say.line(`${clock.cards.length} of ${wanted.cards} cards`)
  }
  return clock
}

/** Milliseconds of each start, from just before the process is made until its log says that the kubelet has the resource. */
async function startsOf(installation: Installation): Promise<number[]> {
  const plugin = installation.devicePlugin(nodes[0].name)
  const measured: number[] = []
  for (let round = 0; round < wanted.starts; round += 1) {
    await plugin.kill()
    const registered = plugin.line(isRegistered)
    const startedAt = Date.now()
    plugin.start()
    measured.push(Date.parse((await registered).time) - startedAt)
  }
  say.line(`${measured.length} starts of the device plugin`)
  return measured
}

function isRegistered({ msg, resource: ofLine }: LogLine): boolean {
  return msg === 'resource registered' && ofLine === resource
}

async function applyNodeENI({ cluster }: Installation, warm: number): Promise<void> {
  const spec = {
    nodeSelector: labels,
    subnetID: network.userPlaneSubnet,
    securityGroupIDs: [network.userPlaneGroup],
    enableDPDK: true,
    dpdkResourceName: resource,
    releaseAfter: '0s',
    warm,
  }
  const metadata = { name: 'user-plane' }
  const nodeENI = { apiVersion: 'networking.k8s.aws/v1alpha1', kind: 'NodeENI', metadata, spec }
  await cluster.kubectl(['apply', '-f', '-'], { input: asStream([nodeENI]), signal })
}

function report({ cards }: CardClock, starts: readonly number[]): void {
  const seen = summary(cards.map(({ seenAt, advertisedAt }) => advertisedAt - seenAt))
  const kernel = summary(cards.map(({ kernelMs }) => kernelMs))
  const own = summary(cards.map(({ seenAt, advertisedAt, kernelMs }) => advertisedAt - seenAt - kernelMs))
  const plugged = summary(cards.map(({ pluggedAt, advertisedAt }) => advertisedAt - pluggedAt))
  const registered = summary(starts)
  say.line(
    [
      '',
      `card seen -> advertised, ${cards.length} cards: ${told(seen)}`,
      `  of it the kernel's own, to give up the interface: ${told(kernel)}`,
      `  of it ours: ${told(own)}`,
      `card on the bus -> advertised: ${told(plugged)}`,
      `process started -> registered with the kubelet, ${starts.length} starts: ${told(registered)}`,
    ].join('\n'),
  )
  const keys = {
    seen_to_advertised_p50_ms: seen.p50,
    seen_to_advertised_p99_ms: seen.p99,
    own_part_p50_ms: own.p50,
    own_part_p99_ms: own.p99,
    plugged_to_advertised_p50_ms: plugged.p50,
    plugged_to_advertised_p99_ms: plugged.p99,
    start_to_registered_p50_ms: registered.p50,
    start_to_registered_p99_ms: registered.p99,
  }
  mkdirSync(results, { recursive: true })
  writeFileSync(new URL('device-plugin.json', results), `${JSON.stringify(keys, undefined, 2)}\n`)
  say.line(JSON.stringify(keys))
}

function told({ p50, p99 }: Summary): string {
  return `p50 ${p50} ms, p99 ${p99} ms`
}

function numberFrom(name: string, otherwise: number): number {
  const number = Number(process.env[name] || otherwise)
  if (!Number.isInteger(number) || number < 1) throw new Error(`${name}=${process.env[name]} is no number of times`)
  return number
}
