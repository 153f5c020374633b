// Creates pods one after the other and takes the time of each, from just before it is posted to the receipt of its Binding.
import { podPath } from '../src/kube/resource.ts'
import type { ENIAttachment } from '../src/api/eni-attachment.ts'
import { network } from '../sim/installation/account.ts'
import type { Installation } from '../sim/installation/installation.ts'
import { asStream } from '../sim/installation/manifests.ts'
import { Observer } from '../sim/installation/observer.ts'
import { Narrator } from '../sim/terminal/narrator.ts'
import { Waiting } from '../sim/terminal/waiting.ts'
import { BindingTimes } from '../sim/cluster/binding-times.ts'

const resource = 'intel.com/upf_dataplane'
const reportedEvery = 10

export interface Series {
  readonly name: string
  readonly rounds: number
  readonly limits: Readonly<Record<string, string>>
  /** What has to hold before each pod but the first. */
  readonly ready: (attachments: readonly ENIAttachment[]) => boolean
}

/** Of pods that ask for an ENI, and of those that do not. */
export const oneENI = { [resource]: '1' }
export const nothing = {}

export class PodStopwatch implements Disposable {
  readonly #installation: Installation
  readonly #say: Narrator
  readonly #signal: AbortSignal
  readonly #observer: Observer
  readonly #bindings: BindingTimes
  readonly #waiting: Waiting

  private constructor(installation: Installation, say: Narrator, signal: AbortSignal) {
    this.#installation = installation
    this.#say = say
    this.#signal = signal
    this.#observer = new Observer(installation.cluster.adminKubeconfig)
    this.#bindings = new BindingTimes(installation.cluster.auditLog)
    // The number of the pod is progress enough.
    const silent = new Narrator(() => undefined)
    this.#waiting = new Waiting({ say: silent, observer: this.#observer, signal })
  }

  static async start(installation: Installation, say: Narrator, signal: AbortSignal): Promise<PodStopwatch> {
    const stopwatch = new PodStopwatch(installation, say, signal)
    await stopwatch.#observer.start()
    return stopwatch
  }

  [Symbol.dispose](): void {
    this.#observer.stop()
  }

  /** Milliseconds of each pod, which is deleted before the next. The first one warms up and is not counted. */
  async measure({ name, rounds, limits, ready }: Series): Promise<number[]> {
    const measured: number[] = []
    for (let round = 0; round <= rounds; round++) {
      if (round > 0) await this.#waiting.until(`all is ready for ${name}`, () => ready(this.#observer.allAttachments()))
      const ms = await this.#timeBinding(`${name}-${round}`, limits)
      if (round > 0) measured.push(ms)
      if (round % reportedEvery === 0) this.#say.line(`${name}: ${round} of ${rounds}`)
    }
    return measured
  }

  /** The NodeENI that serves the pods, ready, with its resource registered on all nodes. */
  async applyNodeENI(nodeSelector: Readonly<Record<string, string>>, releaseAfter: string): Promise<void> {
    const spec = {
      nodeSelector,
      subnetID: network.userPlaneSubnet,
      securityGroupIDs: [network.userPlaneGroup],
      enableDPDK: true,
      dpdkResourceName: resource,
      releaseAfter,
    }
    const metadata = { name: 'user-plane' }
    const nodeENI = { apiVersion: 'networking.k8s.aws/v1alpha1', kind: 'NodeENI', metadata, spec }
    await this.#kubectl(['apply', '-f', '-'], asStream([nodeENI]))
    const registered = `--for=jsonpath={.status.capacity.${resource.replaceAll('.', '\\.')}}`
    await this.#kubectl(['wait', 'node', '--all', registered, '--timeout=60s'])
    await this.#kubectl(['wait', 'nodeeni', 'user-plane', '--for=condition=Ready', '--timeout=60s'])
  }

  async #timeBinding(name: string, limits: Readonly<Record<string, string>>): Promise<number> {
    const container = { name: 'upf', image: 'localhost/upf-cnf:demo', imagePullPolicy: 'Never', resources: { limits } }
    const spec = { schedulerName: 'jit-eni', terminationGracePeriodSeconds: 1, containers: [container] }
    const body = { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default' }, spec }
    const { api, pods } = this.#observer
    const createdAt = Date.now()
    await api.request('POST', '/api/v1/namespaces/default/pods', { body })
    await this.#waiting.until(`${name} is Running`, () => pods.get(`default/${name}`)?.running === true)
    await api.request('DELETE', podPath('default', name))
    await this.#waiting.until(`${name} is gone`, () => pods.get(`default/${name}`) === undefined)
    return (await this.#bindings.receivedAt('default', name)) - createdAt
  }

  async #kubectl(args: readonly string[], input = ''): Promise<void> {
    await this.#installation.cluster.kubectl(args, { input, signal: this.#signal })
  }
}
