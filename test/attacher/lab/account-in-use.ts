// An account at work, for tests of what goes wrong in it: pods that hold their ENIs, one idle ENI, and pods that come and go as the
// test says, with a stand-in for what scheduler and extender do when an attach is given up.
import assert from 'node:assert/strict'

import type { WireAnswer } from '../../../sim/ec2/wire/service.ts'
import { type Claim, type ENIAttachment, isDeleting, terminalFailure } from '../../../src/api/eni-attachment.ts'
import { attachmentTag } from '../../../src/api/names.ts'
import { isReady, type NodeENI } from '../../../src/api/node-eni.ts'
import { parseNode } from '../../../src/kube/objects.ts'
import type { Condition } from '../../../src/api/object-meta.ts'
import { attacherWorld, resource } from '../attacher-world.ts'
import { ours } from './invariants.ts'
import { Lab, type LabOptions } from './lab.ts'

const secondMs = 1_000
export const minuteMs = 60 * secondMs
export const hourMs = 60 * minuteMs
/** The scheduler tries a pod again about so often. */
const scheduleMs = 10 * secondMs
const delays = { answerMs: 50, createMs: 300, attachMs: 1_000, detachMs: 1_000, deviceMs: 1_200 }
/** As the shipped policy wants it of instances that we may touch. */
const tags = { 'kubernetes.io/cluster/test-cluster': 'owned' }
const world = { ...attacherWorld, instances: attacherWorld.instances.map((instance) => ({ ...instance, tags })) }

export interface CallSeen {
  readonly action: string
  readonly atMs: number
}

export class AccountInUse extends Lab {
  /** Every call that reached EC2, or the place where it should be. */
  readonly calls: CallSeen[] = []
  /** What comes in place of EC2's answer. `done` answers as EC2 does, and has done it. */
  answerInstead: (action: string, done: () => Promise<WireAnswer>) => Promise<WireAnswer> | undefined = () => undefined
  readonly #pods = new Map<string, { readonly claim: Claim; readonly node: string }>()
  #intents = 0

  constructor(options: LabOptions = {}) {
    super({ ...options, ec2: { world, delays, ...options.ec2 } })
    for (const name of ['a1', 'a2']) this.scene.addNode(name)
    const { service } = this.ec2
    const handle = service.handle.bind(service)
    service.handle = async (call) => {
      const action = new URLSearchParams(call.body).get('Action') ?? ''
      this.calls.push({ action, atMs: this.clock.now() })
      return (await this.answerInstead(action, () => handle(call))) ?? handle(call)
    }
    this.clock.after(scheduleMs, () => this.#schedule())
  }

  addUpf(): void {
    this.scene.addNodeENI('upf', { dpdkResourceName: resource, releaseAfter: '20m' })
  }

  /** Two pods that hold their ENIs, and an idle ENI on the node of one of them; so long ago that EC2 must show all of it. */
  async start(): Promise<void> {
    this.addUpf()
    this.startAttacher()
    this.addPod('held-1', 'a1')
    this.addPod('held-2', 'a2')
    this.addPod('ended', 'a1')
    await this.until(() => ['held-1', 'held-2', 'ended'].every((pod) => this.isServed(pod)))
    this.endPod('ended')
    await this.until(() => this.idle().length === 1)
    await this.clock.advance(5 * minuteMs)
    assert.deepEqual(this.conditions(), { Ready: 'True', EC2Available: 'True', UpToDate: 'True' })
  }

  /** The next ENI that is idle goes at once. */
  releaseIdle(): void {
    this.scene.changeNodeENI('upf', { releaseAfter: '0s' })
  }

  /** Calls `then` as soon as EC2 has been asked for this, once; the answer is still right. */
  onCall(action: string, then: () => void): void {
    const off = this.ec2.calls.on((call) => {
      if (call.action !== action) return
      off()
      then()
    })
  }

  callsSince(atMs: number, action?: string): CallSeen[] {
    return this.calls.filter((call) => call.atMs >= atMs && (action ?? call.action) === call.action)
  }

  async until(isSo: () => boolean, limitMs = 5 * minuteMs): Promise<void> {
    await this.clock.until(isSo, limitMs)
  }

  addPod(name: string, node: string): void {
    this.#pods.set(name, { claim: this.scene.addUnboundPod(name), node })
    this.#intend(name)
  }

  endPod(name: string): void {
    this.scene.endPod(this.#pods.get(name)?.claim ?? assert.fail(name))
    this.#pods.delete(name)
  }

  /** ENIs asked for so far: one for each pod, and one more after each try that was given up. */
  get intents(): number {
    return this.#intents
  }

  isServed(pod: string): boolean {
    return this.#holding(pod) !== undefined
  }

  idle(): ENIAttachment[] {
    return this.scene.attachments().filter(({ spec, status }) => !spec.claim && !status?.device?.inUseBy)
  }

  attachmentOf(pod: string): ENIAttachment | undefined {
    return this.scene.attachments().findLast(({ spec }) => spec.claim?.name === pod)
  }

  condition(type: string): Condition | undefined {
    return this.nodeENI.status?.conditions?.find((one) => one.type === type)
  }

  conditions(): Record<string, string> {
    return Object.fromEntries((this.nodeENI.status?.conditions ?? []).map(({ type, status }) => [type, status]))
  }

  /** What the NodeENI says of itself. */
  get nodeENI(): NodeENI {
    return this.api.store('nodeenis').get('upf') as unknown as NodeENI
  }

  /** `reason: message` of each event about this object. */
  events(kind: string, name: string): string[] {
    return this.api
      .store('events')
      .list()
      .filter(({ involvedObject }) => {
        const about = involvedObject as { kind: string; name: string }
        return about.kind === kind && about.name === name
      })
      .map(({ reason, message }) => `${String(reason)}: ${String(message)}`)
  }

  /** What two pods hold stays as it is, in EC2 and in Kubernetes, whatever happens. */
  assertHeldUntouched(): void {
    for (const pod of ['held-1', 'held-2']) {
      const attachment = this.#holding(pod) ?? assert.fail(`${pod} has lost its ENI`)
      const eni = this.ec2.state.findEni(attachment.status?.eni?.eniID ?? '')
      assert.equal(eni?.attachment?.status, 'attached', pod)
      assert.equal(isDeleting(attachment), false, `${pod} is to be released`)
      assert.equal(terminalFailure(attachment), undefined, pod)
      assert.equal(attachment.status?.eni?.attached, true, pod)
    }
  }

  /** The NodeENI says that EC2 does not do what is asked for it, and why. */
  assertUnavailable(says: RegExp): void {
    const { status, message = '' } = this.condition('EC2Available') ?? {}
    assert.equal(status, 'False')
    assert.match(message, says)
  }

  /** Of any one action. */
  assertCallsAtMost(callsMax: number, sinceMs: number): void {
    const counts = Map.groupBy(this.callsSince(sinceMs), ({ action }) => action)
    for (const [action, { length }] of counts) assert.ok(length <= callsMax, `${length} calls of ${action}`)
  }

  /** Every pod has its ENI, every ENI its object, no trouble is told of any more; and all this was made once. */
  async assertAllWell(limitMs = 5 * minuteMs): Promise<void> {
    const isWell = () =>
      [...this.#pods.keys()].every((pod) => this.isServed(pod)) &&
      this.scene.attachments().every((one) => !isDeleting(one) && one.status?.eni?.failure === undefined) &&
      ours(this.scene).length === this.scene.attachments().length &&
      Object.values(this.conditions()).every((status) => status === 'True')
    await this.until(isWell, limitMs).catch((error: unknown) => assert.fail(`${String(error)}\n${this.#picture()}`))
    this.checkEnd()
    assert.deepEqual([...this.violations], [])
    const owners = this.made().map(({ owner }) => owner)
    assert.equal(new Set(owners).size, owners.length, 'an ENI was made twice')
  }

  /** All pods end, and nothing is left. */
  async assertLeavesNothing(): Promise<void> {
    for (const pod of this.#pods.keys()) this.endPod(pod)
    const isEmpty = () => ours(this.scene).length === 0 && this.scene.attachments().length === 0
    await this.until(isEmpty, 30 * minuteMs).catch((error: unknown) =>
      assert.fail(`${String(error)}\n${this.#picture()}`),
    )
    this.stopAttacher()
    await this.clock.settle()
  }

  /** The ENIs that EC2 has ever made for us. */
  made(): { readonly eniID: string; readonly owner: string }[] {
    const ids = new Map<string, string>()
    for (const { result, parameters } of this.ec2.calls.of('CreateNetworkInterface')) {
      const eni = result?.['networkInterface'] as { networkInterfaceId: string } | undefined
      const key = Object.entries(parameters).find(([, value]) => value === attachmentTag)?.[0] ?? ''
      if (eni !== undefined) ids.set(eni.networkInterfaceId, parameters[key.replace('.Key', '.Value')] ?? '')
    }
    return [...ids].map(([eniID, owner]) => ({ eniID, owner }))
  }

  #holding(pod: string): ENIAttachment | undefined {
    return this.scene.attachments().find(({ status }) => status?.device?.inUseBy?.name === pod)
  }

  #intend(pod: string): void {
    const { claim, node } = this.#pods.get(pod) ?? assert.fail(pod)
    this.scene.addIntent(`upf-${++this.#intents}`, claim, { nodeName: node, instanceID: `i-${node}` })
  }

  /** The extender takes the claim from what was given up; the scheduler tries the pod again. */
  #schedule(): void {
    for (const attachment of this.scene.attachments()) {
      const isOver = terminalFailure(attachment) !== undefined || isDeleting(attachment)
      if (isOver && attachment.spec.claim !== undefined && attachment.status?.device?.inUseBy === undefined)
        this.scene.setClaim(attachment.metadata.name, undefined)
    }
    for (const [pod, { node }] of this.#pods)
      if (this.attachmentOf(pod) === undefined && this.#mayServe(node)) this.#intend(pod)
    this.clock.after(scheduleMs, () => this.#schedule())
  }

  #mayServe(node: string): boolean {
    const nodeENI = this.api.store('nodeenis').get('upf') as unknown as NodeENI | undefined
    if (nodeENI === undefined || !isReady(nodeENI)) return false
    const { refused = [] } = parseNode(this.api.store('nodes').get(node)).capacity ?? {}
    return !refused.some(({ generation }) => generation === nodeENI.metadata.generation)
  }

  /** For a test that fails. */
  #picture(): string {
    const attachments = this.scene
      .attachments()
      .map(({ metadata, spec, status }) =>
        JSON.stringify([metadata.name, spec.claim?.name, isDeleting({ metadata } as ENIAttachment), status]),
      )
    const enis = ours(this.scene).map(({ eniId, status, attachment }) => [eniId, status, attachment?.status].join(' '))
    return [...attachments, ...enis, JSON.stringify(this.nodeENI.status?.conditions), ...this.violations].join('\n')
  }
}
