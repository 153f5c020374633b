// An API server with its ENIAttachments, pods and nodes, the ways by which a ledger hears of them (watches that lose, repeat and delay
// events, lists, late answers to own writes), and a count from scratch of all that it has been told.
// Does not model: bookmarks, which the informer keeps for itself, and events of one object that overtake each other on a watch, which
// is one stream.
import assert from 'node:assert/strict'

import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import type { KnownAttachment } from '../../src/extender/known-attachments.ts'
import { Ledger } from '../../src/extender/ledger.ts'
import type { DemandingPod } from '../../src/kube/objects.ts'
import { advertised, attachment, failing, n3, node, pod, terminal, upf } from './ledger-world.ts'

export const names = ['x', 'y', 'z'] as const
export const nodeNames = ['a', 'b'] as const
export const podNames = ['p', 'q'] as const
const slots = 4

export type Name = (typeof names)[number]
export type NodeName = (typeof nodeNames)[number]
export type PodName = (typeof podNames)[number]

export const conditions = {
  intent: undefined,
  attached: { eni: { eniID: 'eni-1', attached: true } },
  ready: advertised,
  held: { ...advertised, device: { ...advertised.device, inUseBy: { namespace: 'cnf', name: 'p' } } },
  unhealthy: { ...advertised, device: { health: 'Unhealthy', failure: failing('no driver') } },
  failed: { eni: { failure: terminal('no') } },
  moved: { eni: { failure: { ...terminal('no'), reason: 'ENIMoved' } } },
} satisfies Record<string, ENIAttachment['status']>
export type Condition = keyof typeof conditions

interface AttachmentEvent {
  readonly name: Name
  readonly object: KnownAttachment | undefined
}

interface PodEvent {
  readonly name: PodName
  readonly pod: DemandingPod | undefined
}

export class LedgerModel {
  readonly ledger = new Ledger()
  readonly #server = new Map<Name, KnownAttachment>()
  readonly #serverPods = new Map<PodName, DemandingPod>()
  readonly #instances = new Map<string, string>(nodeNames.map((name) => [name, `i-${name}`]))
  #version = 0
  #unseen: (AttachmentEvent & { readonly version: number })[] = []
  #list: { readonly version: number; readonly objects: ReadonlyMap<Name, KnownAttachment> } | undefined
  #unseenPods: PodEvent[] = []
  readonly #past: AttachmentEvent[] = []
  readonly #answers: ENIAttachment[] = []

  // What the ledger has been told, in no order.
  readonly #told: KnownAttachment[] = []
  readonly #shown = new Map<string, string>()
  readonly #gone = new Set<string>()
  readonly #lists: { readonly version: number; readonly uids: ReadonlySet<string> }[] = []
  readonly #toldPods = new Map<PodName, DemandingPod>()
  readonly #ended = new Set<string>()

  constructor() {
    for (const name of nodeNames) this.ledger.setNode(name, node(name, { slots }))
  }

  write(name: Name, where: NodeName, claim: PodName | undefined, condition: Condition, who: 'we' | 'others'): void {
    const before = this.#server.get(name)
    const uid = before?.metadata.uid ?? `uid-${this.#version}`
    const written = attachment(name, {
      // A living object never changes its place.
      node: this.#placeOf(before)?.nodeName ?? where,
      instanceID: this.#placeOf(before)?.instanceID ?? this.#instances.get(where) ?? '',
      resource: name === 'z' ? n3 : upf,
      uid,
      version: ++this.#version,
      ...(claim !== undefined && { claim: this.#serverPods.get(claim)?.uid ?? claim }),
      ...(conditions[condition] && { status: conditions[condition] }),
    })
    this.#put(name, written)
    if (who === 'we') this.#answers.push(written)
  }

  /** Somebody's newer version writes what we cannot read. */
  spoil(name: Name): void {
    const before = this.#server.get(name)
    if (before === undefined) return
    const { uid } = before.metadata
    const place = { ...this.#placeOf(before), nodeENI: 'upf' }
    this.#put(name, { metadata: { name, uid, resourceVersion: String(++this.#version) }, place })
  }

  delete(name: Name): void {
    this.#version++
    if (this.#server.delete(name)) this.#unseen.push({ name, object: undefined, version: this.#version })
  }

  /** The first event on its way of this object arrives, before those of others. */
  arrive(name: Name): void {
    const event = this.#list === undefined ? this.#take(name) : undefined
    if (event === undefined) return
    this.#past.push(event)
    this.#tell(event)
  }

  lose(name: Name): void {
    this.#take(name)
  }

  repeat(which: number): void {
    const event = this.#past[which % this.#past.length]
    // An end is told once: the informer has forgotten the object by then.
    if (event?.object !== undefined && this.#list === undefined) this.#tell(event)
  }

  /** The answer to one of our writes arrives, whichever. */
  answer(which: number): void {
    const [answer] = this.#answers.splice(which % (this.#answers.length || 1), 1)
    if (answer === undefined) return
    this.#told.push(answer)
    this.ledger.assume(answer)
  }

  loseAnswer(): void {
    this.#answers.shift()
  }

  /** The informer asks for a list, and watches no more until it has it. */
  askForList(): void {
    this.#list ??= { version: this.#version, objects: new Map(this.#server) }
  }

  listArrives(): void {
    if (this.#list === undefined) return
    const { version, objects } = this.#list
    this.#list = undefined
    this.#unseen = this.#unseen.filter((event) => event.version > version)
    for (const [name, object] of objects) this.#tell({ name, object })
    for (const name of names) if (!objects.has(name) && this.#shown.has(name)) this.#tell({ name, object: undefined })
    this.#lists.push({ version, uids: new Set([...objects.values()].map(({ metadata }) => metadata.uid)) })
    this.ledger.attachmentsListed(String(version))
  }

  setPod(name: PodName, where: NodeName | undefined, demand: number): void {
    const before = this.#serverPods.get(name)
    const boundTo = before?.nodeName ?? where
    const uid = before?.uid ?? `${name}-${++this.#version}`
    const after = pod(name, { uid, demand, ...(boundTo !== undefined && { node: boundTo }) })
    this.#serverPods.set(name, after)
    this.#unseenPods.push({ name, pod: after })
  }

  endPod(name: PodName): void {
    if (this.#serverPods.delete(name)) this.#unseenPods.push({ name, pod: undefined })
  }

  podArrives(): void {
    const event = this.#unseenPods.shift()
    if (event !== undefined) this.#tellPod(event)
  }

  losePodEvent(): void {
    this.#unseenPods.shift()
  }

  listPods(): void {
    this.#unseenPods = []
    for (const name of podNames) this.#tellPod({ name, pod: this.#serverPods.get(name) })
  }

  /** The name of the node comes back for another instance. */
  replaceNode(name: NodeName): void {
    const instanceID = `i-${name}-${++this.#version}`
    this.#instances.set(name, instanceID)
    this.ledger.setNode(name, { ...node(name, { slots }), instanceID })
  }

  /** Nothing is on its way any more. */
  settle(): void {
    this.listArrives()
    this.askForList()
    this.listArrives()
    this.listPods()
    while (this.#answers.length > 0) this.answer(0)
  }

  /** The ledger has what a count from scratch of all that it was told has. */
  check(): void {
    const known = names.map((name) => this.#known(name)).filter((found) => found !== undefined)
    for (const nodeName of nodeNames) this.#checkNode(nodeName, known)
    for (const { uid } of this.#toldPods.values()) {
      assert.deepEqual(sorted(this.ledger.claimsOf(uid)), sorted(known.filter((one) => claimOf(one) === uid)))
    }
  }

  /** The ledger has what the API server has. */
  checkSettled(): void {
    for (const name of names) {
      const object = this.#server.get(name)
      assert.deepEqual(this.ledger.attachment(name), object !== undefined && 'spec' in object ? object : undefined)
      assert.equal(this.#known(name)?.metadata.resourceVersion, object?.metadata.resourceVersion)
    }
  }

  #checkNode(nodeName: NodeName, known: readonly KnownAttachment[]): void {
    const account = this.ledger.account(nodeName)
    const here = known.filter((one) => this.#placeOf(one)?.nodeName === nodeName)
    const ours = here.filter((one) => this.#placeOf(one)?.instanceID === this.#instances.get(nodeName))
    const readable = ours.filter((one) => 'spec' in one)
    assert.deepEqual(sorted(this.ledger.attachmentsOn(nodeName)), sorted(here.filter((one) => 'spec' in one)))
    const taken = ours.filter((one) => !('spec' in one) || one.status?.eni?.failure?.reason !== 'ENIMoved').length
    assert.equal(account.slotsLeft, slots - taken)
    assert.equal(account.countByNodeENI.get('upf') ?? 0, taken)
    for (const resource of [upf, n3]) {
      const usable = readable.filter((one) => one.spec.resourceName === resource && !one.status?.eni?.failure)
      const has = account.resources.get(resource)
      for (const { uid } of this.#toldPods.values()) {
        const claimed = usable.filter((one) => claimOf(one) === uid)
        assert.deepEqual(sorted(has?.claimed.get(uid) ?? []), sorted(claimed))
      }
      const isHealthy = ({ status }: ENIAttachment) => status?.device?.health !== 'Unhealthy'
      const isTaken = (one: ENIAttachment) => claimOf(one) !== undefined || one.status?.device?.inUseBy !== undefined
      const free = usable.filter((one) => isHealthy(one) && !isTaken(one))
      const ready = free.filter(({ status }) => status?.device?.advertised).length
      const idle = free.length - Math.min(ready, resource === upf ? this.#owed(nodeName, readable) : 0)
      assert.equal(has?.idle.length ?? 0, idle, `idle ${resource} on ${nodeName}`)
      const left = usable.filter((one) => isHealthy(one) && isTaken(one) && this.#isLeft(one, nodeName))
      assert.deepEqual(sorted(has?.soon ?? []), sorted(left))
    }
  }

  /** Devices that pods bound to the node have yet to get. */
  #owed(nodeName: NodeName, readable: readonly ENIAttachment[]): number {
    let owed = 0
    for (const [name, { uid, nodeName: boundTo, demand }] of this.#toldPods) {
      if (boundTo !== nodeName) continue
      const its = readable.filter(
        (one) => one.spec.resourceName === upf && (claimOf(one) === uid || one.status?.device?.inUseBy?.name === name),
      )
      owed += Math.max(0, (demand.get(upf) ?? 0) - its.length)
    }
    return owed
  }

  #isLeft(one: ENIAttachment, nodeName: NodeName): boolean {
    const claim = claimOf(one)
    const pods = [...this.#toldPods.values()]
    const claimant = pods.find(({ uid }) => uid === claim)
    const isElsewhere = claimant?.nodeName !== undefined && claimant.nodeName !== nodeName
    if (claim !== undefined && !isElsewhere && !this.#ended.has(claim)) return false
    const holder = pods.find(({ name }) => name === one.status?.device?.inUseBy?.name)
    return holder?.nodeName !== nodeName
  }

  /** The newest version of the object that has the name, as far as the ledger has been told. */
  #known(name: Name): KnownAttachment | undefined {
    return this.#told
      .filter(({ metadata }) => metadata.name === name && !this.#isGone(metadata.uid))
      .reduce<KnownAttachment | undefined>(
        (newest, one) => (newest === undefined || versionOf(one) > versionOf(newest) ? one : newest),
        undefined,
      )
  }

  #isGone(uid: string): boolean {
    if (this.#gone.has(uid)) return true
    const its = this.#told.filter(({ metadata }) => metadata.uid === uid)
    const [first, last] = [Math.min(...its.map(versionOf)), Math.max(...its.map(versionOf))]
    const isSucceeded = this.#told.some(
      (one) => one.metadata.name === its[0]?.metadata.name && one.metadata.uid !== uid && versionOf(one) > last,
    )
    return isSucceeded || this.#lists.some(({ version, uids }) => version >= first && !uids.has(uid))
  }

  #placeOf(known: KnownAttachment | undefined): { readonly nodeName: string; readonly instanceID: string } | undefined {
    if (known === undefined) return undefined
    const { nodeName, instanceID } = 'spec' in known ? known.spec : (this.#places.get(known.metadata.uid) ?? {})
    return nodeName === undefined || instanceID === undefined ? undefined : { nodeName, instanceID }
  }

  readonly #places = new Map<string, { readonly nodeName: string; readonly instanceID: string }>()

  #put(name: Name, object: KnownAttachment): void {
    this.#server.set(name, object)
    if ('spec' in object) this.#places.set(object.metadata.uid, object.spec)
    this.#unseen.push({ name, object, version: this.#version })
  }

  #take(name: Name): AttachmentEvent | undefined {
    const index = this.#unseen.findIndex((event) => event.name === name)
    return index < 0 ? undefined : this.#unseen.splice(index, 1)[0]
  }

  #tell({ name, object }: AttachmentEvent): void {
    const before = this.#shown.get(name)
    const known = this.#known(name)
    // Where it is cannot be read either, once that is known.
    const isPlaced = object !== undefined && known?.metadata.uid === object.metadata.uid
    const told = object !== undefined && 'place' in object && isPlaced ? { ...object, place: {} } : object
    if (object === undefined) {
      if (before === undefined) return
      this.#gone.add(before)
      this.#shown.delete(name)
    } else if (!this.#gone.has(object.metadata.uid)) {
      this.#told.push(object)
      if (before !== undefined && before !== object.metadata.uid) this.#gone.add(before)
      this.#shown.set(name, object.metadata.uid)
    }
    this.ledger.setWatched(name, told)
  }

  #tellPod({ name, pod: after }: PodEvent): void {
    const before = this.#toldPods.get(name)
    if (before !== undefined && before.uid !== after?.uid) this.#ended.add(before.uid)
    if (after === undefined) this.#toldPods.delete(name)
    else this.#toldPods.set(name, after)
    this.ledger.setPod(`cnf/${name}`, after)
  }
}

function claimOf(known: KnownAttachment): string | undefined {
  return 'spec' in known ? known.spec.claim?.uid : undefined
}

function versionOf({ metadata }: KnownAttachment): number {
  return Number(metadata.resourceVersion)
}

function sorted(known: readonly KnownAttachment[]): string[] {
  return known.map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`).sort()
}
