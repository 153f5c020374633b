// One cluster test: an installation, its observer, and the few things that the tests do with them. Waiting is for a state, with a
// deadline only so that a broken build fails with a picture of what it hung on.
import type { CoreV1Event } from '@kubernetes/client-node'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import type { InstallationNode } from '../../sim/installation/account.ts'
import { type Installation, type InstallationOptions, startInstallation } from '../../sim/installation/installation.ts'
import { asStream } from '../../sim/installation/manifests.ts'
import { type ObservedPod, Observer } from '../../sim/installation/observer.ts'
import type { LogLine, Program } from '../../sim/installation/program.ts'
import { isAtRest } from './at-rest.ts'
import { violationsOf } from './invariants.ts'
import { dataplane, type NodeENIManifest } from './upf-manifests.ts'
import { Witness } from './witness.ts'

/** Of one wait, on this machine's own processors. */
const hungAfterMs = 90_000

/** As it is: it takes its time, shows late what it has done, and does not take every call. */
const realisticEc2: NonNullable<InstallationOptions['ec2']> = {
  delays: {
    answerMs: [20, 200],
    createMs: [100, 500],
    attachMs: [2_000, 5_000],
    deviceMs: [2_000, 6_000],
    detachMs: [1_000, 3_000],
  },
  consistency: { newIdMs: [200, 2_000], listMs: [0, 1_000] },
  // Far below what an account has, so that a few pods come up against it.
  throttling: {
    scale: 1,
    overrides: {
      CreateNetworkInterface: { bucket: 1, refillPerSecond: 0.5 },
      AttachNetworkInterface: { bucket: 1, refillPerSecond: 0.5 },
      DetachNetworkInterface: { bucket: 1, refillPerSecond: 0.5 },
    },
  },
}

export const twoNodes: readonly InstallationNode[] = [
  { name: 'node-a', zone: 'a', instanceType: 'm5.4xlarge', labels: { ng: 'multi-eni' } },
  { name: 'node-b', zone: 'a', instanceType: 'm5.4xlarge', labels: { ng: 'multi-eni' } },
]

export interface ScenarioOptions extends Omit<InstallationOptions, 'log'> {
  /** After which a wait counts as hung. */
  readonly hungAfterMs?: number
}

export class Scenario implements AsyncDisposable {
  readonly installation: Installation
  readonly observer: Observer
  readonly #witness: Witness
  readonly #hungAfterMs: number
  #isRestless = false

  private constructor(installation: Installation, observer: Observer, hungMs: number) {
    this.installation = installation
    this.observer = observer
    this.#hungAfterMs = hungMs
    this.#witness = new Witness(installation, observer)
  }

  /** EC2 is as it is, unless said otherwise. */
  static async start(options: ScenarioOptions): Promise<Scenario> {
    const installation = await startInstallation({ ec2: realisticEc2, ...options, log: () => undefined })
    try {
      const observer = new Observer(installation.cluster.adminKubeconfig)
      await observer.start()
      return new Scenario(installation, observer, options.hungAfterMs ?? hungAfterMs)
    } catch (error) {
      await installation.stop()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.observer.stop()
    await this.installation.stop()
  }

  /** The invariants hold, once everything has come to rest. After every test, and in it before its pods are deleted. */
  async check(): Promise<void> {
    // After a check that hung, each of the following would hang as long.
    assert.ok(!this.#isRestless || this.#isAtRest(), 'the installation has not come to rest since an earlier test')
    this.#isRestless = true
    await this.until('everything has come to rest', () => this.#isAtRest())
    this.#isRestless = false
    assert.deepEqual(violationsOf(await this.#witness.picture()), [])
  }

  /** From now on this ENI, which is not ours, must stay as it is. */
  leaveAlone(eniId: string): void {
    this.#witness.leaveAlone(eniId)
  }

  async until(what: string, holds: () => boolean): Promise<void> {
    await this.#orHung(what, (signal) => this.observer.until(holds, signal))
  }

  /** An event about the object that says so, written already or still to come: events follow what they tell of. */
  async event(object: string, reason: string, message: RegExp): Promise<void> {
    const query = { watch: true, fieldSelector: `involvedObject.name=${object},reason=${reason}` }
    await this.#orHung(`event ${reason} of ${object}: ${message.source}`, async (signal) => {
      for await (const line of this.observer.api.lines('/api/v1/events', { query, signal })) {
        if (message.test((line as { readonly object: CoreV1Event }).object.message ?? '')) return
      }
      throw new Error(`the API server ended the watch of events of ${object}`)
    })
  }

  /** The next line of the program's log that matches; to be called before what makes the program write it. */
  async line(program: Program, what: string, matches: (line: LogLine) => boolean): Promise<LogLine> {
    return this.#orHung(what, async (signal) => {
      const found = await Promise.race([program.line(matches), once(signal, 'abort')])
      signal.throwIfAborted()
      return found as LogLine
    })
  }

  async apply(...manifests: readonly object[]): Promise<string> {
    return this.installation.cluster.kubectl(['apply', '-f', '-'], { input: asStream(manifests) })
  }

  /** It waits for what it deletes. */
  async kubectl(...args: string[]): Promise<string> {
    return this.#orHung(`kubectl ${args.join(' ')}`, (signal) => this.installation.cluster.kubectl(args, { signal }))
  }

  /** What kubectl says when the API server refuses. */
  async refusal(...manifests: readonly object[]): Promise<string> {
    try {
      await this.apply(...manifests)
    } catch (error) {
      return String(error)
    }
    throw new Error('the API server accepted what it should have refused')
  }

  pod(name: string): ObservedPod | undefined {
    return this.observer.pods.get(`default/${name}`)
  }

  async running(...names: string[]): Promise<void> {
    await this.until(`${names.join(', ')} Running`, () => names.every((name) => this.pod(name)?.running === true))
  }

  async deletePods(...names: string[]): Promise<void> {
    await this.kubectl('delete', 'pod', '--wait=true', ...names)
  }

  attachmentsOf(nodeENI: string): ENIAttachment[] {
    return this.observer.allAttachments().filter(({ spec }) => spec.nodeENI === nodeENI)
  }

  claimOf(podName: string): ENIAttachment | undefined {
    const uid = this.pod(podName)?.uid
    return this.observer.allAttachments().find(({ spec }) => uid !== undefined && spec.claim?.uid === uid)
  }

  /** A NodeENI that is usable, whose resource all matching nodes have registered. */
  async nodeENIReady(manifest: NodeENIManifest): Promise<void> {
    await this.apply(manifest)
    const { name } = manifest.metadata
    await this.until(`NodeENI ${name} Ready`, () => this.readyCondition(name)?.status === 'True')
    const resource = manifest.spec['dpdkResourceName']
    if (typeof resource !== 'string') return
    const jsonpath = `jsonpath={.status.capacity.${resource.replaceAll('.', '\\.')}}`
    const selector = Object.entries(manifest.spec.nodeSelector).map(([key, value]) => `${key}=${value}`)
    await this.kubectl('wait', 'node', '-l', selector.join(','), `--for=${jsonpath}`, this.#kubectlTimeout)
  }

  /** The node's status tells so many devices of the user plane, in use or not. */
  async nodeShows(nodeName: string, devices: number): Promise<void> {
    for (const field of ['capacity', 'allocatable']) {
      const jsonpath = `jsonpath={.status.${field}.${dataplane.replaceAll('.', '\\.')}}=${devices}`
      await this.kubectl('wait', 'node', nodeName, `--for=${jsonpath}`, this.#kubectlTimeout)
    }
  }

  readyCondition(nodeENI: string) {
    return this.observer.nodeENIs.get(nodeENI)?.status?.conditions?.find(({ type }) => type === 'Ready')
  }

  /** Deletes pods and NodeENIs and waits until EC2 has no ENI of ours. */
  async clear(): Promise<void> {
    await this.kubectl('delete', 'pod,deployment', '--all', '--wait=true', '-n', 'default')
    await this.kubectl('delete', 'nodeeni', '--all', '--wait=true')
    await this.until('no ENIAttachment left', () => this.observer.allAttachments().length === 0)
  }

  /** Later than the wait itself counts as hung, which tells more. */
  get #kubectlTimeout(): string {
    return `--timeout=${2 * this.#hungAfterMs}ms`
  }

  #isAtRest(): boolean {
    return isAtRest(this.observer.allPods(), this.observer.allAttachments())
  }

  async #orHung<T>(what: string, wait: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const signal = AbortSignal.timeout(this.#hungAfterMs)
    try {
      return await wait(signal)
    } catch (error) {
      if (!signal.aborted) throw error
      throw new Error(`still waiting for: ${what}\n${await this.#whatThereIs()}`, { cause: error })
    }
  }

  async #whatThereIs(): Promise<string> {
    const { cluster } = this.installation
    const events = await cluster.kubectl(['get', 'events', '-A', '--sort-by=.lastTimestamp'])
    const parts = [
      await cluster.kubectl(['get', 'neni,enia,pods', '-A', '-o', 'wide']),
      events.split('\n').slice(-15).join('\n'),
      JSON.stringify(this.observer.allAttachments().map(({ metadata, spec, status }) => ({ metadata, spec, status }))),
      ...this.installation.programs().flatMap(({ name, recentLines }) => [`-- ${name}`, ...recentLines]),
    ]
    return parts.join('\n')
  }
}
