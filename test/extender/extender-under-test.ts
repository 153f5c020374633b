// The extender's real parts over the real Kubernetes client, with a fake API server behind them and a clock that stands still, and
// the words in which the tests speak to them.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import type { V1Pod } from '@kubernetes/client-node'
import { pino } from 'pino'

import type { AttachmentSpec, Claim, DeviceStatus, ENIAttachment, EniStatus } from '../../src/api/eni-attachment.ts'
import { capacityAnnotation, zoneLabel } from '../../src/api/names.ts'
import { Binder, type BindOutcome } from '../../src/extender/bind.ts'
import { LedgerFeed, type LedgerFeedParts } from '../../src/extender/ledger-feed.ts'
import { Ledger } from '../../src/extender/ledger.ts'
import { WakeUp } from '../../src/extender/wake-up.ts'
import { Cluster } from '../../src/kube/cluster.ts'
import { realClock } from '../../src/process/clock.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'
import { ManualClock } from '../process/manual-clock.ts'
import { advertised, attachment, nodeENI, upf, zoneA } from './ledger-world.ts'

const log = pino({ level: process.env['LOG_LEVEL'] ?? 'silent' })
export const managed: ReadonlySet<string> = new Set([upf])

interface Setup {
  /** Node name -> slots. */
  readonly nodes?: Readonly<Record<string, number>>
  /** What is there before the extender starts. */
  readonly attachments?: readonly ENIAttachment[]
  /** false: the extender never hears of ENIAttachments but by its own writes. */
  readonly watchesAttachments?: boolean
}

export class ExtenderUnderTest {
  readonly api: FakeApiServer
  readonly ledger = new Ledger()
  readonly clock = new ManualClock()
  readonly binder: Binder
  readonly wakeUp: WakeUp

  readonly #cluster: AskedCluster

  private constructor(api: FakeApiServer) {
    this.api = api
    const cluster = new AskedCluster(api.kubeconfig)
    this.#cluster = cluster
    this.binder = new Binder(cluster, this.ledger, managed, this.clock, log)
    this.wakeUp = new WakeUp(cluster, this.ledger, this.clock, log)
  }

  /** With NodeENI upf, whose ledger has synced. */
  static async start(t: TestContext, setup: Setup = {}): Promise<ExtenderUnderTest> {
    const api = await FakeApiServer.start()
    const extender = new ExtenderUnderTest(api)
    for (const [name, slots] of Object.entries(setup.nodes ?? { a: 4 })) extender.#addNode(name, slots)
    api.store('nodeenis').create({ ...nodeENI('upf') })
    for (const one of setup.attachments ?? []) extender.addAttachment(one)
    const abort = new AbortController()
    const feed = extender.#feed(setup.watchesAttachments ?? true)
    const watching = feed.run(abort.signal)
    await feed.synced()
    const waking = extender.wakeUp.run(abort.signal)
    t.after(async () => {
      abort.abort()
      await Promise.all([waking, watching])
      await api.stop()
    })
    return extender
  }

  #feed(watchesAttachments: boolean): LedgerFeed {
    const cluster = new Cluster(this.api.kubeconfig)
    const ledger: LedgerFeedParts['ledger'] = {
      setNode: (...change) => this.ledger.setNode(...change),
      setNodeENI: (...change) => this.ledger.setNodeENI(...change),
      setWatched: (...change) => watchesAttachments && this.ledger.setWatched(...change),
      attachmentsListed: (version) => watchesAttachments && this.ledger.attachmentsListed(version),
      setPod: (...change) => this.ledger.setPod(...change),
    }
    return new LedgerFeed({ cluster, ledger, managed, log, clock: realClock })
  }

  #addNode(name: string, slots: number): void {
    const instanceID = `i-${name}`
    const capacity = { instanceID, cards: [{ index: 0, limit: slots + 1, foreign: 1 }] }
    const metadata = {
      name,
      labels: { ng: 'multi-eni', [zoneLabel]: zoneA },
      annotations: { [capacityAnnotation]: JSON.stringify(capacity) },
    }
    const spec = { providerID: `aws:///${zoneA}/${instanceID}` }
    this.api.store('nodes').create({ metadata, spec, status: { capacity: { [upf]: '0' } } })
  }

  addAttachment({ metadata: { name }, spec, status }: ENIAttachment): void {
    this.api.store('eniattachments').create({ metadata: { name }, spec, ...(status && { status }) })
  }

  addIdle(name: string, node = 'a'): void {
    this.addAttachment(attachment(name, { node, status: advertised }))
  }

  addPod(name: string, devices = 1): Claim {
    const spec = { containers: [{ name: 'upf', resources: { limits: { [upf]: String(devices) } } }] }
    const pod = this.api.store('pods').create({ metadata: { name, namespace: 'cnf' }, spec })
    return { namespace: 'cnf', name, uid: pod.metadata.uid }
  }

  pod({ namespace, name }: Claim): V1Pod {
    return (this.api.store('pods').get(`${namespace}/${name}`) ?? assert.fail(`no pod ${name}`)) as unknown as V1Pod
  }

  deletePod({ namespace, name }: Claim): void {
    this.api.store('pods').delete(`${namespace}/${name}`)
  }

  bind(claim: Claim, node = 'a', signal: AbortSignal = new AbortController().signal): Promise<BindOutcome> {
    return this.binder.bind(
      { PodName: claim.name, PodNamespace: claim.namespace, PodUID: claim.uid, Node: node },
      signal,
    )
  }

  attachments(): ENIAttachment[] {
    return this.api.store('eniattachments').list() as unknown as ENIAttachment[]
  }

  /** Resolves when the objects that the pod has claimed, of those told, are so many. */
  async claimed(claim: Claim, count = 1, of: Partial<AttachmentSpec> = {}): Promise<ENIAttachment[]> {
    const { promise, resolve } = Promise.withResolvers<ENIAttachment[]>()
    const isMeant = ({ spec }: ENIAttachment) =>
      spec.claim?.uid === claim.uid && isDeepStrictEqual({ ...spec, ...of }, spec)
    const look = () => {
      const found = this.attachments().filter(isMeant)
      if (found.length === count) resolve(found)
    }
    const off = this.api.store('eniattachments').onChange(look)
    look()
    const found = await promise
    off()
    return found
  }

  /** Resolves when the ledger is so, and the extender has asked for all that follows from it. */
  async ledgerIs(is: (ledger: Ledger) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = () => is(this.ledger) && resolve()
    const off = this.ledger.onChange(look)
    look()
    await promise
    off()
    await new Promise(setImmediate)
  }

  /** As the attacher writes it. */
  setEni(name: string, eni: EniStatus): void {
    this.#setStatus(name, 'eni', eni)
  }

  /** As the device plugin writes it. */
  setDevice(name: string, device: DeviceStatus): void {
    this.#setStatus(name, 'device', device)
  }

  /** As the device plugin does for the claim that is there. */
  acknowledge(...names: string[]): void {
    for (const name of names) {
      const found = this.attachments().find(({ metadata }) => metadata.name === name)
      this.setDevice(name, {
        ...advertised.device,
        acknowledged: found?.spec.claim?.uid ?? assert.fail(`no claim: ${name}`),
      })
    }
  }

  #setStatus(name: string, part: 'eni' | 'device', now: object): void {
    this.api.store('eniattachments').update(name, (object) => {
      const { status = {} } = object as { status?: ENIAttachment['status'] }
      return { ...object, status: { ...status, [part]: { ...status[part], ...now } } }
    })
  }

  /** As the attacher does when the kubelet gave the pod another device. */
  setClaim(name: string, claim: Claim | undefined): void {
    this.api.store('eniattachments').update(name, (object) => {
      const { claim: _, ...spec } = object['spec'] as ENIAttachment['spec']
      return { ...object, spec: { ...spec, ...(claim && { claim }) } }
    })
  }

  /** The Bindings that were asked for, in order, whether answered or not. */
  get bindings(): Asked[] {
    return this.#cluster.asked.filter(({ method, path }) => method === 'POST' && path.endsWith('/binding'))
  }

  /** The pods that were woken, in order. */
  get woken(): string[] {
    return this.#cluster.asked
      .filter(({ method, path }) => method === 'PATCH' && path.endsWith('/status'))
      .map(({ path }) => path.split('/').at(-2) ?? '')
  }
}

interface Asked {
  readonly method: string
  readonly path: string
  readonly body: object | undefined
}

/** Remembers what it is asked at the moment when it is asked, before any answer. */
class AskedCluster extends Cluster {
  readonly asked: Asked[] = []

  override request<T>(...call: Parameters<Cluster['request']>): Promise<T> {
    const [method, path, options] = call
    this.asked.push({ method, path, body: options?.body })
    return super.request<T>(...call)
  }
}
