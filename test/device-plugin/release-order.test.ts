// A release in every order of events: the rules, the lists, what is known of holders, and Allocate, against a kubelet that hears
// late, shows late, and sometimes gives one device to two pods.
// Modelled of the kubelet: it chooses among the devices that it has heard to be healthy and takes for free, calls Allocate at once or
// while the world goes on, shows the pod in List some time after the answer (within 5 s) or never, and forgets on a List of another
// client what it has not recorded yet. A look of the plugin comes only when no Allocate is open and the last answer is 50 ms old.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'

import * as fc from 'fast-check'
import { pino } from 'pino'

import { AllocateGate } from '../../src/device-plugin/allocate-gate.ts'
import { Allocator } from '../../src/device-plugin/allocator.ts'
import { CardWork } from '../../src/device-plugin/card-work.ts'
import { DeviceLists } from '../../src/device-plugin/device-lists.ts'
import { Journal } from '../../src/device-plugin/journal.ts'
import type { KubeletView } from '../../src/device-plugin/kubelet-view.ts'
import { LinkCorrections } from '../../src/device-plugin/link-corrections.ts'
import { match } from '../../src/device-plugin/match.ts'
import { nodeDemand } from '../../src/device-plugin/node-demand.ts'
import { deviceKey, Occupancy } from '../../src/device-plugin/occupancy.ts'
import { nextStep } from '../../src/device-plugin/plan.ts'
import type { Step } from '../../src/device-plugin/step.ts'
import { type Knowledge, situationOf } from '../../src/device-plugin/situation.ts'
import { attachmentOf, cardAt, entryFor } from './cards.ts'
import { ClusterInMemory, resource } from './cluster-in-memory.ts'
import { HandClock } from './hand-clock.ts'

const address = '0000:00:06.0'
const key = deviceKey(resource, address)
const bare = cardAt(address, { driver: 'vfio-pci', iommuGroup: { number: '3', noIommu: false } })
const card = { ...bare, entry: entryFor(bare, 'uid-a') }
const claim = { namespace: 'core', name: 'upf-0', uid: 'pod-1' }
const silent = pino({ level: 'silent' })
/** allocate-gate.ts, and the time within which an admission has failed or is shown (occupancy.ts). */
const quietMs = 50
const admissionMs = 4_900

interface Pod {
  readonly name: string
  readonly grantedAt: number
  isShown: boolean
}

class World {
  readonly clock = new HandClock()
  readonly occupancy = new Occupancy()
  readonly gate = new AllocateGate(this.clock)
  readonly lists = new DeviceLists(() => undefined)
  readonly #allocator: Allocator
  readonly #knowledge: Knowledge
  #deleting = false
  #claimed = false
  /** What the kubelet has heard last. */
  #heard = false
  /** The kubelet takes the device for given away. */
  #isGiven = false
  readonly pods: Pod[] = []
  #names = 0
  #answeredAt = Number.NEGATIVE_INFINITY
  #view: KubeletView | undefined
  /** Answers of the kubelet that an Allocate waits for. */
  readonly #questions: (() => void)[] = []
  isRestored = false
  readonly #violations: string[] = []

  constructor() {
    this.#knowledge = {
      journal: new Journal('/nonexistent', 'boot-1', silent),
      lists: this.lists,
      occupancy: this.occupancy,
      work: new CardWork(this.clock, silent, () => undefined),
      hasDriver: () => true,
      mayDriverCome: () => false,
      allowedDevices: new Set(['1d0f:ec20']),
      isDescribed: () => true,
      links: { view: undefined },
      corrections: new LinkCorrections(this.clock),
      resourceProblem: () => undefined,
    }
    this.#allocator = new Allocator({
      lists: this.lists,
      occupancy: this.occupancy,
      podResources: {
        holders: () => Promise.reject(new Error('not asked here')),
        allocatable: () => Promise.reject(new Error('not asked here')),
        holds: ({ name }) => this.#ask(() => (this.pods.some((pod) => pod.name === name) ? 'device' : 'none')),
        close: () => undefined,
      },
      gate: this.gate,
      clock: this.clock,
      injection: { by: 'cdi', dev: '/dev' },
      files: { isDescribed: () => true, handOver: () => this.#ask(() => undefined) },
      log: silent,
      onAnswer: () => undefined,
    })
  }

  #ask<T>(answer: () => T): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<T>()
    this.#questions.push(() => resolve(answer()))
    return promise
  }

  readonly actions: Readonly<Record<string, () => void | Promise<void>>> = {
    claim: () => {
      this.#claimed = !this.#deleting
    },
    unclaim: () => {
      this.#claimed = false
    },
    delete: () => {
      this.#deleting = true
    },
    pass: () => this.#pass(),
    hear: () => {
      this.#heard = this.lists.get(resource, address)?.health === 'Healthy'
    },
    look: () => this.#look(),
    admit: () => this.#admit(),
    answer: () => this.answer(),
    show: () => {
      for (const pod of this.pods) pod.isShown = true
    },
    end: () => this.#end(),
    /** UpdateAllocatedDevices of another client's List: only what is recorded stays given. */
    forget: () => {
      this.#isGiven = this.pods.some(({ isShown }) => isShown)
    },
    /** Time goes on for everybody. */
    turn: async () => {
      for (const name of ['pass', 'hear', 'while', 'look', 'pass', 'pass']) await this.do(name)
    },
    moment: () => this.#wait(20),
    while: () => this.#wait(700),
    long: () => this.#wait(5_100),
  }

  async answer(): Promise<void> {
    for (const resolve of this.#questions.splice(0)) resolve()
    await setImmediate()
  }

  #wait(ms: number): void {
    const until = this.clock.now + ms
    for (const pod of this.pods) if (!pod.isShown && pod.grantedAt + admissionMs <= until) pod.isShown = true
    this.clock.now = until
  }

  async #admit(): Promise<void> {
    if (!this.#heard || this.#isGiven) return
    this.#isGiven = true
    const name = `pod-${this.#names++}`
    const asked = this.#allocator.allocate(resource, { containerRequests: [{ devicesIds: [address] }] })
    void asked.then(({ kind }) => {
      this.#answeredAt = this.clock.now
      if (kind === 'refused') {
        this.#isGiven = this.pods.length > 0
        return
      }
      if (this.pods.length > 0) this.#violations.push('one device in two pods')
      if (this.isRestored) this.#violations.push('given to a pod after it was restored')
      this.pods.push({ name, grantedAt: this.clock.now, isShown: false })
    })
    await setImmediate()
  }

  /** The pod ends, or its admission fails after Allocate. */
  #end(): void {
    this.pods.splice(0)
    if (!this.gate.isOpen) this.#isGiven = false
  }

  #look(): void {
    if (this.gate.isOpen || this.clock.now - this.#answeredAt < quietMs) return
    const startedAt = this.clock.now
    const shown = this.pods.filter(({ isShown }) => isShown)
    this.occupancy.observe({ startedAt, holders: new Map(shown.map(({ name }) => [key, { namespace: 'core', name }])) })
    this.#view = { startedAt, allocatable: new Set(this.#heard ? [key] : []) }
  }

  /** As reconciler.ts makes one. */
  #pass(): void {
    if (this.isRestored) return
    const step = this.#step()
    const wasListed = this.lists.get(resource, address) !== undefined
    const of = (kind: Step['kind']) => new Set(step.kind === kind ? [key] : [])
    const view = this.gate.isOpen ? undefined : this.#view
    this.lists.retain(of('offer'), of('withdraw'), this.occupancy, view, this.clock.now)
    if (step.kind === 'offer') this.lists.offer(resource, { attachmentUID: 'uid-a', card, eni: {} }, this.clock.now)
    if (wasListed && this.lists.get(resource, address) === undefined) this.#mustBeFree('dropped')
    if (step.kind === 'restore' || step.kind === 'finish') {
      this.#mustBeFree('restored')
      assert.equal(this.lists.get(resource, address), undefined, 'restored while in the list')
      this.isRestored = true
    }
  }

  #step(): Step {
    const cluster = new ClusterInMemory()
    cluster.addNodeENI('upf')
    const attachment = attachmentOf({ deleting: this.#deleting, ...(this.#claimed && { spec: { claim } }) })
    const demand = nodeDemand({ ...cluster.state(), attachments: [attachment] }, new Set([resource]))
    const host = { used: new Set<string>(), uplinks: new Set<string>(), addresses: new Set<string>() }
    const primary = { mac: undefined, addresses: [] }
    const findings = { demand, host, primary, matches: match([card], [attachment]), altNames: new Map() }
    return nextStep(situationOf(attachment, findings, this.#knowledge, 0))
  }

  #mustBeFree(what: string): void {
    assert.deepEqual(this.pods, [], `${what} while a pod has it`)
    assert.equal(this.gate.isOpen, false, `${what} while an Allocate is open`)
    if (what === 'restored') assert.ok(this.#deleting && !this.#claimed, 'restored without a release, or under a claim')
  }

  async do(name: string): Promise<void> {
    await this.actions[name]?.()
    assert.deepEqual(this.#violations, [])
  }
}

const names = Object.keys(new World().actions)
/** Often a device is offered and heard, so that there is something to lose. */
const start = ['look', 'pass', 'hear', 'look', 'pass']
const often = ['pass', 'look', 'hear', 'admit', 'admit', 'answer', 'answer', 'show', 'end', 'turn', 'turn']
const orders = fc.array(fc.constantFrom(...names, ...often), { minLength: 20, maxLength: 80, size: 'max' })

test('no order of events takes a device from a pod that has it or may have it, and every release ends', async () => {
  let released = 0
  let admitted = 0
  await fc.assert(
    fc.asyncProperty(orders, async (order) => {
      const world = new World()
      for (const name of [...start, ...order]) {
        await world.do(name)
        admitted += world.pods.length
      }
      if (world.isRestored) released++
      // Let all come to its end.
      for (const name of ['answer', 'answer', 'answer', 'end', 'unclaim', 'delete']) await world.do(name)
      for (let round = 0; round < 4; round++) {
        for (const name of ['pass', 'hear', 'long', 'look', 'pass']) await world.do(name)
      }
      assert.ok(world.isRestored, 'the release does not end')
    }),
    { numRuns: 400 },
  )
  assert.ok(released > 10 && admitted > 100, `too little has happened: ${released} releases, ${admitted} pods seen`)
})
