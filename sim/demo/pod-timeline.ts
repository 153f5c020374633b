// The steps of each pod from its creation to Running, with milliseconds, put together from where each step shows itself: pod
// watch, the programs' log lines, and the timestamps on the ENIAttachment. All clocks are this machine's, or were set by it when the
// virtual machine started.
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import type { Installation } from '../installation/installation.ts'
import type { ObservedPod, Observer } from '../installation/observer.ts'
import { followDevicePlugin } from '../installation/pod-log.ts'
import type { LogLine } from '../installation/program.ts'

export interface TimelineStep {
  readonly pod: string
  readonly ms: number
  readonly what: string
}

export interface TimelineParts {
  readonly installation: Installation
  /** Started. */
  readonly observer: Observer
  readonly namespace: string
  readonly onStep: (step: TimelineStep) => void
  readonly signal: AbortSignal
}

/** A step shows itself a moment after it was made; within this time they are put in order. */
const gatherMs = 250

/** Steps that an ENIAttachment stamps, in order. */
const stampedSteps = [
  ['eni', 'createdTime', 'ENI created in EC2'],
  ['device', 'seenTime', 'card seen on the node'],
  ['device', 'boundTime', 'card bound to its driver'],
  ['device', 'advertisedTime', 'advertised to the kubelet'],
  ['eni', 'attachedTime', 'EC2 says attached'],
  ['device', 'acknowledgedTime', 'claim acknowledged by the device plugin'],
] as const

export class PodTimeline {
  readonly #namespace: string
  readonly #onStep: (step: TimelineStep) => void
  readonly #created = new Map<string, { readonly name: string; readonly atMs: number }>()
  readonly #told = new Set<string>()
  /** What the extender said of pods that the watch has not shown yet, by UID. */
  readonly #early = new Map<string, LogLine[]>()
  /** When each device, by node and PCI address, was last allocated. */
  readonly #allocated = new Map<string, number>()
  #gathered: (TimelineStep & { readonly atMs: number })[] = []

  /** Follows logs until the signal aborts. */
  constructor({ installation, observer, namespace, onStep, signal }: TimelineParts) {
    this.#namespace = namespace
    this.#onStep = onStep
    observer.pods.onChange((_key, after) => this.#podChanged(after))
    observer.attachments.onChange((_key, after) => this.#attachmentChanged(after))
    installation.extender.onLine((line) => this.#extenderLine(line))
    for (const { name } of installation.cluster.nodes) {
      installation.devicePlugin(name).onLine((line) => this.#pluginLine(name, line))
    }
    for (const { name } of installation.cluster.guests) {
      void followDevicePlugin(observer, name, (line) => this.#pluginLine(name, line), signal)
    }
  }

  #podChanged(pod: ObservedPod | undefined): void {
    if (pod?.namespace !== this.#namespace) return
    if (!this.#created.has(pod.uid)) this.#podCreated(pod)
    if (pod.running) this.#tell(pod.uid, Date.now(), 'Running')
  }

  #podCreated({ uid, name }: ObservedPod): void {
    const early = this.#early.get(uid) ?? []
    this.#early.delete(uid)
    const atMs = Math.min(Date.now(), ...early.map(({ time }) => Date.parse(time)))
    this.#created.set(uid, { name, atMs })
    this.#tell(uid, atMs, 'created')
    for (const line of early) this.#extenderLine(line)
  }

  #attachmentChanged(attachment: ENIAttachment | undefined): void {
    const uid = attachment?.spec.claim?.uid
    const created = uid === undefined ? undefined : this.#created.get(uid)
    if (attachment?.status === undefined || uid === undefined || created === undefined) return
    for (const [part, field, what] of stampedSteps) {
      const times: Readonly<Record<string, unknown>> = attachment.status[part] ?? {}
      const atMs = Date.parse(String(times[field]))
      // Steps of an ENI from before this pod belong to another one's story.
      if (atMs >= created.atMs - 1) this.#tell(uid, atMs, `${what}${detail(what, attachment)}`, what)
    }
    this.#tellAllocate(uid, attachment)
  }

  #extenderLine(line: LogLine): void {
    const { time, msg, podUID, node, asked, passed } = line
    if (typeof podUID !== 'string') return
    if (!this.#created.has(podUID)) {
      this.#early.set(podUID, [...(this.#early.get(podUID) ?? []), line])
      return
    }
    const atMs = Date.parse(time)
    if (msg === 'filter answered')
      this.#tell(podUID, atMs, `filter: ${String(passed)} of ${String(asked)} nodes can have its ENI`, msg)
    if (msg === 'bind called') this.#tell(podUID, atMs, `bind called for ${String(node)}`, msg)
    if (msg === 'posting Binding') this.#tell(podUID, atMs, 'Binding', msg)
  }

  /** The kubelet names no pod in Allocate; the device plugin learns a moment later whose device it was. */
  #pluginLine(nodeName: string, { time, msg, devices }: LogLine): void {
    if (msg !== 'device allocated') return
    for (const device of devices as readonly string[]) this.#allocated.set(`${nodeName} ${device}`, Date.parse(time))
  }

  #tellAllocate(uid: string, { spec, status }: ENIAttachment): void {
    const { pciAddress, inUseBy } = status?.device ?? {}
    const atMs = this.#allocated.get(`${spec.nodeName} ${pciAddress}`)
    const created = this.#created.get(uid)
    if (atMs === undefined || created === undefined || atMs < created.atMs || inUseBy?.name !== created.name) return
    this.#tell(uid, atMs, `Allocate: the kubelet takes ${pciAddress}`, 'allocate')
  }

  #flush(): void {
    for (const step of this.#gathered.toSorted((a, b) => a.atMs - b.atMs)) this.#onStep(step)
    this.#gathered = []
  }

  #tell(uid: string, atMs: number, what: string, key: string = what): void {
    const created = this.#created.get(uid)
    if (created === undefined || this.#told.has(`${uid} ${key}`)) return
    this.#told.add(`${uid} ${key}`)
    if (this.#gathered.length === 0) setTimeout(() => this.#flush(), gatherMs)
    // The watch shows a pod a moment after it was created; nothing happens to it before that.
    const at = Math.max(atMs, created.atMs)
    this.#gathered.push({ pod: created.name, ms: at - created.atMs, atMs: at, what })
  }
}

function detail(what: string, { status }: ENIAttachment): string {
  if (what.startsWith('ENI created')) return `: ${status?.eni?.eniID}`
  if (what.startsWith('card seen')) return `: ${status?.device?.pciAddress}`
  if (what.startsWith('card bound')) return `: ${status?.device?.driver}`
  return ''
}
