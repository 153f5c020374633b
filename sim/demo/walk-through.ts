// The demo's story, chapter by chapter: the walk-through of a 5G UPF, from its manifests to an empty EC2.
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { parseAllDocuments } from 'yaml'
import { isIdle } from '../../src/api/eni-attachment.ts'
import type { Installation } from '../installation/installation.ts'
import { asStream } from '../installation/manifests.ts'
import { Observer } from '../installation/observer.ts'
import type { Narrator } from './narrator.ts'
import { PodTimeline } from './pod-timeline.ts'

const namespace = 'telco-cnf'
const resource = 'intel.com/upf_dataplane'
const jitNodeENI = 'upf-user-plane-dpdk'
const pollMs = 100
/** So that the last lines of a timeline stand before what follows. */
const timelineMs = 400
const mutatingActions = [
  'CreateNetworkInterface',
  'AttachNetworkInterface',
  'ModifyNetworkInterfaceAttribute',
  'DetachNetworkInterface',
  'DeleteNetworkInterface',
]

export class WalkThrough {
  readonly #installation: Installation
  readonly #say: Narrator
  readonly #signal: AbortSignal
  readonly #observer: Observer

  constructor(installation: Installation, say: Narrator, signal: AbortSignal) {
    this.#installation = installation
    this.#say = say
    this.#signal = signal
    this.#observer = new Observer(installation.cluster.adminKubeconfig)
    void new PodTimeline(installation, this.#observer, namespace, ({ pod, ms, what }) => {
      say.line(`${`+${ms} ms`.padStart(10)}  ${pod.padEnd(24)} ${what}`)
    })
  }

  async run(): Promise<void> {
    await this.#tell([
      () => this.#applyNodeENIs(),
      () => this.#firstRound(),
      () => this.#secondRound(),
      () => this.#release(),
    ])
  }

  /** For a reader who wants to play: everything is there, nothing is released. */
  async runAndKeep(): Promise<void> {
    await this.#tell([() => this.#applyNodeENIs(), () => this.#firstRound()])
  }

  async #tell(chapters: readonly (() => Promise<void>)[]): Promise<void> {
    await this.#observer.start()
    try {
      for (const chapter of chapters) await chapter()
    } finally {
      this.#observer.stop()
    }
  }

  async #applyNodeENIs(): Promise<void> {
    this.#say.chapter('Two NodeENIs: the control plane gets its ENIs ahead of pods, the user plane just in time')
    const manifests = example('upf-node-enis.yaml')
    for (const { metadata, spec } of manifests) {
      if (metadata.name === jitNodeENI) Object.assign(spec ?? {}, { releaseAfter: '5s' })
    }
    await this.#apply(manifests)
    const registered = () => this.#everyNodeHas(`"${resource}":"0"`)
    await this.#poll('the device plugins register the resource with their kubelets', registered)
    const attached = () =>
      [...this.#observer.attachments.values()].filter(({ status }) => status?.device?.pciAddress).length >= 2
    await this.#until('the control-plane ENIs are attached', attached)
    await this.#kubectl('get', 'nodeenis')
    await this.#kubectl('get', 'eniattachments')
  }

  async #firstRound(): Promise<void> {
    this.#say.chapter('A UPF of two replicas asks for intel.com/upf_dataplane: 1, which no node has yet')
    const manifests = example('upf-cnf.yaml')
    for (const { spec } of manifests) {
      const container = spec?.template?.spec.containers[0]
      if (container !== undefined)
        Object.assign(container, { image: 'localhost/upf-cnf:demo', imagePullPolicy: 'Never' })
    }
    await this.#apply(manifests)
    await this.#until('two pods are Running', () => this.#runningPods() === 2)
    await delay(timelineMs)
    await this.#kubectl('get', 'nodeenis')
    await this.#kubectl('get', 'eniattachments')
    await this.#kubectl('get', 'pods', '-n', namespace, '-o', 'wide')
    await this.#printCapacity()
    await this.#printLog()
  }

  async #secondRound(): Promise<void> {
    this.#say.chapter('The pods are deleted and re-created: they take the idle ENIs, with no EC2 call')
    await this.#scale(0)
    await this.#until('the pods end and their ENIs are idle', () => this.#idleENIs() === 2)
    const before = this.#mutatingCalls()
    await this.#scale(2)
    await this.#until('two pods are Running', () => this.#runningPods() === 2)
    await delay(timelineMs)
    this.#say.line(`EC2 calls that change something, in this round: ${this.#mutatingCalls() - before}`)
  }

  async #release(): Promise<void> {
    this.#say.chapter('Scaled to 0, the ENIs idle for releaseAfter (5s here) and are released')
    await this.#scale(0)
    const jitGone = () => ![...this.#observer.attachments.values()].some(({ spec }) => spec.nodeENI === jitNodeENI)
    await this.#until('the user-plane ENIs leave the nodes and EC2', jitGone)
    await this.#kubectl('get', 'eniattachments')
    this.#say.chapter('Deleting the NodeENIs empties EC2')
    await this.#kubectl('delete', 'nodeeni', '--all')
    const enis = [...this.#installation.ec2.state.enis()]
    this.#say.line(`ENIs left in EC2: ${enis.length}, the primary ones of the two instances`)
    const counts = Object.entries(this.#installation.ec2.calls.countByAction())
    this.#say.line(`EC2 calls in all: ${counts.map(([action, count]) => `${action} ${count}`).join(', ')}`)
  }

  async #apply(manifests: readonly object[]): Promise<void> {
    const output = await this.#installation.cluster.kubectl(['apply', '-f', '-'], {
      input: asStream(manifests),
      signal: this.#signal,
    })
    this.#say.command('kubectl apply -f deploy/examples/...', output)
  }

  async #kubectl(...args: string[]): Promise<void> {
    const output = await this.#installation.cluster.kubectl(args, { signal: this.#signal })
    this.#say.command(`kubectl ${args.join(' ')}`, output)
  }

  async #scale(replicas: number): Promise<void> {
    await this.#kubectl('scale', 'deployment', 'upf-cnf', '-n', namespace, `--replicas=${replicas}`)
  }

  async #printCapacity(): Promise<void> {
    const { cluster } = this.#installation
    // The node status follows within its own update period; nobody waits for it but this printout.
    await this.#poll('the nodes show the resource', () => this.#everyNodeHas(`"${resource}":"1"`))
    for (const { name } of cluster.nodes) {
      const described = await cluster.kubectl(['describe', 'node', name], { signal: this.#signal })
      const lines = described
        .split('\n')
        .filter((line) => /^(Capacity|Allocatable):|intel\.com\/upf_dataplane/.test(line))
      this.#say.command(`kubectl describe node ${name} | grep ...`, lines.join('\n'))
    }
  }

  async #printLog(): Promise<void> {
    const [pod] = this.#observer.pods.values()
    const args = ['logs', '-n', namespace, pod?.name ?? '']
    const output = await this.#installation.cluster.kubectl(args, { signal: this.#signal })
    const lines = output.split('\n').filter((line) => /PCIDEVICE|vfio|_INTERFACE/.test(line))
    const rest = output.split('\n').filter((line) => /^[cdl]|^total/.test(line))
    this.#say.command(`kubectl ${args.join(' ')} | grep ...`, [...new Set([...lines, ...rest])].join('\n'))
  }

  #runningPods(): number {
    return [...this.#observer.pods.values()].filter(({ running, deleting }) => running && !deleting).length
  }

  #idleENIs(): number {
    if ([...this.#observer.pods.values()].length > 0) return 0
    const all = [...this.#observer.attachments.values()]
    return all.filter((attachment) => attachment.spec.nodeENI === jitNodeENI && isIdle(attachment)).length
  }

  #mutatingCalls(): number {
    const counts = this.#installation.ec2.calls.countByAction()
    return mutatingActions.reduce((sum, action) => sum + (counts[action] ?? 0), 0)
  }

  async #everyNodeHas(text: string): Promise<boolean> {
    const { cluster } = this.#installation
    const args = ['get', 'nodes', '-o', 'jsonpath={range .items[*]}{.status.capacity}{"\\n"}{end}']
    const lines = (await cluster.kubectl(args, { signal: this.#signal })).trim().split('\n')
    return lines.every((line) => line.includes(text))
  }

  /** For what no watch of ours shows. Ends at once on Ctrl-C. */
  async #poll(what: string, holds: () => Promise<boolean>): Promise<void> {
    const look = async () => {
      while (!(await holds())) await delay(pollMs, undefined, { signal: this.#signal })
    }
    await this.#say.during(what, look())
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    await this.#say.during(what, this.#observer.until(holds, this.#signal))
  }
}

interface Example {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly spec?: { readonly template?: { readonly spec: { readonly containers: readonly object[] } } }
}

function example(file: string): Example[] {
  const text = readFileSync(new URL(`../../deploy/examples/${file}`, import.meta.url), 'utf8')
  return parseAllDocuments(text).map((document) => document.toJS() as Example)
}
