// The demo's story, chapter by chapter: the walk-through of a 5G UPF, from its manifests to an empty EC2.
import { setTimeout as delay } from 'node:timers/promises'
import { type ENIAttachment, isIdle } from '../../src/api/eni-attachment.ts'
import type { Installation } from '../installation/installation.ts'
import { type ObservedPod, Observer } from '../installation/observer.ts'
import type { Narrator } from '../terminal/narrator.ts'
import { Waiting } from '../terminal/waiting.ts'
import { PodTimeline } from './pod-timeline.ts'
import { ShownKubectl } from './shown-kubectl.ts'

const namespace = 'telco-cnf'
const resource = 'intel.com/upf_dataplane'
const deviceVariable = 'PCIDEVICE_INTEL_COM_UPF_DATAPLANE'
const jitNodeENI = 'upf-user-plane-dpdk'
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
  readonly #observer: Observer
  readonly #waiting: Waiting
  readonly #kubectl: ShownKubectl

  constructor(installation: Installation, say: Narrator, signal: AbortSignal) {
    this.#installation = installation
    this.#say = say
    this.#observer = new Observer(installation.cluster.adminKubeconfig)
    this.#waiting = new Waiting({ say, observer: this.#observer, signal })
    this.#kubectl = new ShownKubectl(installation.cluster, say, this.#waiting)
  }

  async run(): Promise<void> {
    await this.#tell([
      () => this.#applyNodeENIs(),
      () => this.#firstRound(),
      () => this.#secondRound(),
      () => this.#release(),
      () => this.#emptyEC2(),
    ])
  }

  /** For a reader who wants to play: everything is there, nothing is released. */
  async runAndKeep(): Promise<void> {
    await this.#tell([() => this.#applyNodeENIs(), () => this.#firstRound()])
  }

  async #tell(chapters: readonly (() => Promise<void>)[]): Promise<void> {
    await this.#observer.start()
    const end = new AbortController()
    void new PodTimeline({
      installation: this.#installation,
      observer: this.#observer,
      namespace,
      onStep: ({ pod, ms, what }) => this.#say.line(`${`+${ms} ms`.padStart(10)}  ${pod.padEnd(24)} ${what}`),
      signal: end.signal,
    })
    try {
      for (const chapter of chapters) await chapter()
    } finally {
      end.abort()
      this.#observer.stop()
    }
  }

  async #applyNodeENIs(): Promise<void> {
    this.#say.chapter('Two NodeENIs: the control plane gets its ENIs ahead of pods, the user plane just in time')
    await this.#kubectl.apply('upf-node-enis.yaml')
    await this.#everyNodeShows('0', 'the device plugins register the resource with their kubelets')
    const attached = () => this.#observer.allAttachments().filter(({ status }) => status?.device?.pciAddress)
    await this.#waiting.until('the control-plane ENIs are attached', () => attached().length >= 2)
    await this.#kubectl.run('get', 'nodeenis')
    await this.#kubectl.run('get', 'eniattachments')
  }

  async #firstRound(): Promise<void> {
    this.#say.chapter('A UPF of two replicas asks for intel.com/upf_dataplane: 1, which no node has yet')
    this.#say.line('The image of the example is replaced by one that is built here.')
    await this.#kubectl.applyReplacing('telco/upf-cnf:latest', 'localhost/upf-cnf:demo', 'upf-cnf.yaml')
    await this.#twoPodsRun()
    await this.#kubectl.run('get', 'nodeenis')
    await this.#kubectl.run('get', 'eniattachments')
    await this.#kubectl.run('get', 'pods', '-n', namespace, '-o', 'wide')
    // The node status follows within its own update period; nobody waits for it but this printout.
    await this.#everyNodeShows('1', 'the nodes show the resource')
    for (const { name } of this.#installation.nodes) {
      await this.#kubectl.grep('^(Capacity|Allocatable):|upf_dataplane', 'describe', 'node', name)
    }
    await this.#whatKernelsSay()
    const [pod] = this.#runningPods()
    await this.#kubectl.grep('PCIDEVICE|_INTERFACE|vfio|^c', 'logs', '-n', namespace, pod?.name ?? '')
  }

  /** Of virtual machines: they have one of their own. */
  async #whatKernelsSay(): Promise<void> {
    for (const { name, guest } of this.#installation.cluster.guests) {
      const pciAddress = this.#userPlane().find(({ spec }) => spec.nodeName === name)?.status?.device?.pciAddress
      const command = `uname -r; readlink /sys/bus/pci/devices/${pciAddress}/driver; ls /dev/vfio`
      await this.#say.command(`on ${name}: ${command}`, guest.script(command))
    }
  }

  async #secondRound(): Promise<void> {
    this.#say.chapter('The pods are deleted and re-created: they take the idle ENIs, with no EC2 call')
    await this.#scale(0)
    await this.#waiting.until('the pods end and their ENIs are idle', () => this.#idle().length === 2)
    await this.#kubectl.run('get', 'eniattachments')
    const idle = new Set(this.#idle().map(({ metadata }) => metadata.uid))
    const before = this.#mutatingCalls()
    await this.#scale(2)
    await this.#twoPodsRun()
    this.#say.line(`EC2 calls that change something, in this round: ${this.#mutatingCalls() - before}`)
    for (const pod of this.#runningPods()) {
      await this.#kubectl.grep(`^${deviceVariable}=`, 'logs', '-n', namespace, pod.name)
      const attachment = this.#attachmentOf(pod)
      if (attachment === undefined || !idle.has(attachment.metadata.uid))
        throw new Error(`${pod.name} did not get an ENI that was idle`)
      const { eni, device } = attachment.status ?? {}
      this.#say.line(`${device?.pciAddress} of ${pod.nodeName} is ${eni?.eniID}, which was idle`)
    }
  }

  async #release(): Promise<void> {
    this.#say.chapter('Scaled to 0, the ENIs idle for releaseAfter, by default 10m and now 5s, and are released')
    const patch = JSON.stringify({ spec: { releaseAfter: '5s' } })
    await this.#kubectl.run('patch', 'nodeeni', jitNodeENI, '--type=merge', '-p', patch)
    await this.#scale(0)
    const released = () => this.#userPlane().length === 0
    await this.#waiting.until('the user-plane ENIs leave the nodes and EC2', released)
    await this.#kubectl.run('get', 'eniattachments')
  }

  async #emptyEC2(): Promise<void> {
    this.#say.chapter('Deleting the NodeENIs empties EC2')
    await this.#kubectl.run('delete', 'nodeeni', '--all')
    const { ec2, primaryEnis } = this.#installation
    const enis = ec2.state.enis().map(({ eniId }) => eniId)
    const ours = enis.filter((eni) => !primaryEnis.includes(eni))
    if (ours.length > 0) throw new Error(`these ENIs of the NodeENIs are left in EC2: ${ours.join(', ')}`)
    this.#say.line(`ENIs left in EC2: ${enis.length}, which the instances had from their start: ${enis.join(', ')}`)
    const counts = Object.entries(ec2.calls.countByAction())
    this.#say.line(`EC2 calls in all: ${counts.map(([action, count]) => `${action} ${count}`).join(', ')}`)
  }

  async #scale(replicas: number): Promise<void> {
    await this.#kubectl.run('scale', 'deployment', 'upf-cnf', '-n', namespace, `--replicas=${replicas}`)
  }

  async #twoPodsRun(): Promise<void> {
    await this.#waiting.until('two pods are Running', () => this.#runningPods().length === 2)
    await delay(timelineMs)
  }

  async #everyNodeShows(count: string, what: string): Promise<void> {
    const args = ['get', 'nodes', '-o', 'jsonpath={range .items[*]}{.status.capacity}{"\\n"}{end}']
    await this.#waiting.poll(what, async (signal) => {
      const lines = (await this.#installation.cluster.kubectl(args, { signal })).trim().split('\n')
      return lines.every((line) => line.includes(`"${resource}":"${count}"`))
    })
  }

  /** Those of the story. */
  #pods(): ObservedPod[] {
    return this.#observer.allPods().filter((pod) => pod.namespace === namespace)
  }

  #runningPods(): ObservedPod[] {
    return this.#pods().filter(({ running, deleting }) => running && !deleting)
  }

  #userPlane(): ENIAttachment[] {
    return this.#observer.allAttachments().filter(({ spec }) => spec.nodeENI === jitNodeENI)
  }

  /** Of no pod, now that there is none. */
  #idle(): ENIAttachment[] {
    return this.#pods().length > 0 ? [] : this.#userPlane().filter(isIdle)
  }

  #attachmentOf({ uid }: ObservedPod): ENIAttachment | undefined {
    return this.#userPlane().find(({ spec }) => spec.claim?.uid === uid)
  }

  #mutatingCalls(): number {
    const counts = this.#installation.ec2.calls.countByAction()
    return mutatingActions.reduce((sum, action) => sum + (counts[action] ?? 0), 0)
  }
}
