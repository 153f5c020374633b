// What the attacher counts and times, for /metrics.
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

import { type ENIAttachment, isIdle, phaseOf, phases } from '../api/eni-attachment.ts'
import type { Ec2Observer } from './ec2-connection.ts'
import type { Ec2Error } from './ec2-error.ts'
import type { Urgency } from './ec2-limiter.ts'

/** From a describe to the last of a thousand ENIs that are asked for at once. */
const secondsBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60, 120, 300, 600]

export class AttacherMetrics {
  readonly registry = new Registry()
  readonly ec2CallSeconds: Histogram<'action' | 'outcome'>
  readonly ec2WaitSeconds: Histogram<'action' | 'urgency'>
  readonly ec2Throttled: Counter<'action'>
  readonly ec2Retries: Counter<'action' | 'after'>
  readonly stepSeconds: Histogram<'step' | 'urgency'>
  readonly orphans: Gauge
  readonly collections: Counter<'result'>
  readonly rejectedPods: Counter<'resource'>
  readonly leader: Gauge
  readonly enis: Gauge<'phase'>
  #attachments: () => readonly ENIAttachment[] = () => []

  constructor() {
    const registers = [this.registry]
    this.ec2CallSeconds = new Histogram({
      name: 'jiteni_attacher_ec2_call_duration_seconds',
      help: 'EC2 calls by action and outcome (ok, or the EC2 error code), each try by itself.',
      labelNames: ['action', 'outcome'],
      buckets: secondsBuckets,
      registers,
    })
    this.ec2WaitSeconds = new Histogram({
      name: 'jiteni_attacher_ec2_wait_duration_seconds',
      help: 'How long an EC2 call waited for its turn, by action and urgency.',
      labelNames: ['action', 'urgency'],
      buckets: secondsBuckets,
      registers,
    })
    this.ec2Throttled = new Counter({
      name: 'jiteni_attacher_ec2_throttled_total',
      help: 'EC2 calls that were one too many for the bucket of the account, by action.',
      labelNames: ['action'],
      registers,
    })
    this.ec2Retries = new Counter({
      name: 'jiteni_attacher_ec2_retries_total',
      help: 'EC2 calls made again, by action: after a throttle, and after an error with which a step of an ENI ended (then the step is done again, from a look at what EC2 shows).',
      labelNames: ['action', 'after'],
      registers,
    })
    this.stepSeconds = new Histogram({
      name: 'jiteni_attacher_step_duration_seconds',
      help: 'How long a step of an ENI took: plan, create, prepare (until the attach is asked for), attach, total. By urgency: pods (a pod waits for it) or ahead. Not of an ENI that is attached again.',
      labelNames: ['step', 'urgency'],
      buckets: secondsBuckets,
      registers,
    })
    this.orphans = new Gauge({
      name: 'jiteni_attacher_orphan_enis',
      help: 'ENIs with the tag of this cluster that no ENIAttachment has, or has besides another, in two surveys in a row.',
      registers,
    })
    this.collections = new Counter({
      name: 'jiteni_attacher_collections_total',
      help: 'ENIs without an ENIAttachment, by result: deleted, failed (tried again at the next survey) kept (at each survey, while an ENIAttachment cannot be read) or would_delete (at each survey, when collection is only reported).',
      labelNames: ['result'],
      registers,
    })
    this.rejectedPods = new Counter({
      name: 'jiteni_attacher_rejected_pods_total',
      help: 'Bound pods that the kubelet has refused for good, because their device was not there any more (a restart of the node, the kubelet or the device plugin), by resource.',
      labelNames: ['resource'],
      registers,
    })
    const attachments = () => this.#attachments()
    this.enis = new Gauge({
      name: 'jiteni_attacher_enis',
      help: 'ENIAttachments by phase.',
      labelNames: ['phase'],
      registers,
      collect() {
        for (const phase of phases) this.set({ phase }, 0)
        for (const attachment of attachments()) this.inc({ phase: phaseOf(attachment) })
      },
    })
    this.leader = new Gauge({ name: 'jiteni_attacher_leader', help: '1 while this process leads.', registers })
  }

  get ec2Observer(): Ec2Observer {
    return {
      called: (action, outcome, seconds) => this.ec2CallSeconds.observe({ action, outcome }, seconds),
      waited: (action, urgency, seconds) => this.ec2WaitSeconds.observe({ action, urgency }, seconds),
      throttled: (action) => this.ec2Throttled.inc({ action }),
      retried: (action) => this.ec2Retries.inc({ action, after: 'throttle' }),
    }
  }

  /** Counts these by phase whenever the metrics are read. */
  watchPhases(all: () => readonly ENIAttachment[]): void {
    this.#attachments = all
  }

  /** A step of an ENI ended with this error of EC2, and is done again. */
  stepFailed({ action, isOfEarlierCall }: Ec2Error): void {
    if (!isOfEarlierCall) this.ec2Retries.inc({ action, after: 'error' })
  }

  /** The steps of an ENI that is attached for the first time, by the times in its status. */
  observeSteps(attachment: ENIAttachment): void {
    const { metadata, status } = attachment
    const urgency = isIdle(attachment) ? 'ahead' : 'pods'
    const { plannedTime, createdTime, attachCalledTime, attachedTime } = status?.eni ?? {}
    const steps = { plan: plannedTime, create: createdTime, prepare: attachCalledTime, attach: attachedTime }
    let before = metadata.creationTimestamp
    for (const [step, time] of Object.entries(steps)) {
      this.#observe({ step, urgency }, before, time)
      before = time
    }
    this.#observe({ step: 'total', urgency }, metadata.creationTimestamp, attachedTime)
  }

  #observe(labels: { step: string; urgency: Urgency }, from: string | undefined, to: string | undefined): void {
    const seconds = (Date.parse(to ?? '') - Date.parse(from ?? '')) / 1000
    if (seconds >= 0) this.stepSeconds.observe(labels, seconds)
  }
}
