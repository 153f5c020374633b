// One cluster test: an installation, its observer, and the few things that the tests do with them. Waiting is for a state, with a
// deadline only so that a broken build fails with a picture of what it hung on.
import type { TestContext } from 'node:test'
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import type { InstallationNode } from '../../sim/installation/account.ts'
import { network } from '../../sim/installation/account.ts'
import { type Installation, type InstallationOptions, startInstallation } from '../../sim/installation/installation.ts'
import { asStream } from '../../sim/installation/manifests.ts'
import { type ObservedPod, Observer } from '../../sim/installation/observer.ts'
import { checkInvariants } from './invariants.ts'

export const dataplane = 'intel.com/upf_dataplane'
const hungAfterMs = 90_000
const settledAfterMs = 60_000

export const twoNodes: readonly InstallationNode[] = [
  { name: 'node-a', zone: 'a', instanceType: 'm5.4xlarge', labels: { ng: 'multi-eni' } },
  { name: 'node-b', zone: 'a', instanceType: 'm5.4xlarge', labels: { ng: 'multi-eni' } },
]

export class Scenario implements AsyncDisposable {
  readonly installation: Installation
  readonly observer: Observer

  private constructor(installation: Installation, observer: Observer) {
    this.installation = installation
    this.observer = observer
  }

  static async start(options: Omit<InstallationOptions, 'log'>): Promise<Scenario> {
    const installation = await startInstallation({ ...options, log: () => undefined })
    const observer = new Observer(installation.cluster.adminKubeconfig)
    await observer.start()
    return new Scenario(installation, observer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.observer.stop()
    await this.installation.stop()
  }

  /** Runs one test and then checks the invariants, once everything has come to rest. */
  async check(_context: TestContext, body: () => Promise<void>): Promise<void> {
    await body()
    await this.settled()
    await checkInvariants(this.installation, this.observer)
  }

  async until(what: string, holds: () => boolean, afterMs: number = hungAfterMs): Promise<void> {
    const signal = AbortSignal.timeout(afterMs)
    try {
      await this.observer.until(holds, signal)
    } catch (error) {
      if (!signal.aborted) throw error
      throw new Error(`still waiting for: ${what}\n${await this.#picture()}`, { cause: error })
    }
  }

  /** Nothing is on its way: no intent that is not attached, no release that nobody holds up. */
  async settled(): Promise<void> {
    const onItsWay = ({ metadata, spec, status }: ENIAttachment) => {
      const used = spec.claim !== undefined || status?.device?.inUseBy !== undefined
      return metadata.deletionTimestamp === undefined ? status?.eni?.attached !== true : !used
    }
    await this.until(
      'everything has come to rest',
      () => !this.observer.allAttachments().some(onItsWay),
      settledAfterMs,
    )
  }

  async apply(...manifests: readonly object[]): Promise<string> {
    return this.installation.cluster.kubectl(['apply', '-f', '-'], { input: asStream(manifests) })
  }

  async kubectl(...args: string[]): Promise<string> {
    return this.installation.cluster.kubectl(args)
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
    await this.kubectl('wait', 'node', '-l', selector.join(','), `--for=${jsonpath}`, '--timeout=60s')
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

  async #picture(): Promise<string> {
    const parts = [
      await this.kubectl('get', 'neni,enia,pods', '-A', '-o', 'wide'),
      await this.kubectl('get', 'events', '-A', '--sort-by=.lastTimestamp').then((text) =>
        text.split('\n').slice(-15).join('\n'),
      ),
      JSON.stringify(this.observer.allAttachments().map(({ metadata, spec, status }) => ({ metadata, spec, status }))),
      ...this.installation.programs().flatMap(({ name, recentLines }) => [`-- ${name}`, ...recentLines]),
    ]
    return parts.join('\n')
  }
}

export interface NodeENIManifest {
  readonly metadata: { readonly name: string }
  readonly spec: { readonly nodeSelector: Readonly<Record<string, string>>; readonly [field: string]: unknown }
}

/** A user-plane NodeENI; `fields` are added to its spec. */
export function userPlane(name: string, fields: Readonly<Record<string, unknown>> = {}): NodeENIManifest {
  const manifest = {
    apiVersion: 'networking.k8s.aws/v1alpha1',
    kind: 'NodeENI',
    metadata: { name },
    spec: {
      nodeSelector: { ng: 'multi-eni' },
      subnetID: network.userPlaneSubnet,
      securityGroupIDs: [network.userPlaneGroup],
      deviceIndex: 1,
      enableDPDK: true,
      dpdkResourceName: dataplane,
      ...fields,
    },
  }
  return manifest
}

/** A pod in namespace default; `fields` are added to its spec. */
export function upfPod(name: string, count = 1, fields: Readonly<Record<string, unknown>> = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'upf',
          image: 'localhost/upf-cnf:demo',
          imagePullPolicy: 'Never',
          resources: { limits: { [dataplane]: String(count) } },
        },
      ],
      ...fields,
    },
  }
}
