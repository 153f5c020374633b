// What the attacher counts and times, for /metrics.
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

import { type ENIAttachment, phaseOf, phases } from '../api/eni-attachment.ts'
import type { Ec2Observer } from './ec2-connection.ts'

const secondsBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60, 300]

export class AttacherMetrics {
  readonly registry = new Registry()
  readonly ec2CallSeconds: Histogram<'action' | 'outcome'>
  readonly ec2WaitSeconds: Histogram<'action' | 'urgency'>
  readonly ec2Throttled: Counter<'action'>
  readonly stepSeconds: Histogram<'step'>
  readonly orphans: Gauge
  readonly collected: Counter
  readonly leader: Gauge
  readonly enis: Gauge<'phase'>
  #attachments: () => readonly ENIAttachment[] = () => []

  constructor() {
    const registers = [this.registry]
    this.ec2CallSeconds = new Histogram({
      name: 'jiteni_attacher_ec2_call_seconds',
      help: 'EC2 calls by action and outcome (ok, or the EC2 error code), each try by itself.',
      labelNames: ['action', 'outcome'],
      buckets: secondsBuckets,
      registers,
    })
    this.ec2WaitSeconds = new Histogram({
      name: 'jiteni_attacher_ec2_wait_seconds',
      help: 'How long an EC2 call waited for its turn, by action and urgency.',
      labelNames: ['action', 'urgency'],
      buckets: secondsBuckets,
      registers,
    })
    this.ec2Throttled = new Counter({
      name: 'jiteni_attacher_ec2_throttled_total',
      help: 'EC2 calls that were one too many for the bucket of the account and are made again, by action.',
      labelNames: ['action'],
      registers,
    })
    this.stepSeconds = new Histogram({
      name: 'jiteni_attacher_step_seconds',
      help: 'How long a step of an ENI took: plan, create, prepare (until the attach is asked for), attach, total.',
      labelNames: ['step'],
      buckets: secondsBuckets,
      registers,
    })
    this.orphans = new Gauge({
      name: 'jiteni_attacher_orphan_enis',
      help: 'ENIs with the tag of this cluster and no ENIAttachment, in two surveys in a row.',
      registers,
    })
    this.collected = new Counter({
      name: 'jiteni_attacher_collected_enis_total',
      help: 'ENIs without an ENIAttachment that were deleted.',
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
    }
  }

  /** Counts these by phase whenever the metrics are read. */
  watchPhases(all: () => readonly ENIAttachment[]): void {
    this.#attachments = all
  }

  /** The steps of an ENI that is attached now, by the times in its status. */
  observeSteps({ metadata, status }: ENIAttachment): void {
    const { plannedTime, createdTime, attachCalledTime, attachedTime } = status?.eni ?? {}
    const steps = { plan: plannedTime, create: createdTime, prepare: attachCalledTime, attach: attachedTime }
    let before = metadata.creationTimestamp
    for (const [step, time] of Object.entries(steps)) {
      this.#observe(step, before, time)
      before = time
    }
    this.#observe('total', metadata.creationTimestamp, attachedTime)
  }

  #observe(step: string, from: string | undefined, to: string | undefined): void {
    const seconds = (Date.parse(to ?? '') - Date.parse(from ?? '')) / 1000
    if (seconds >= 0) this.stepSeconds.observe({ step }, seconds)
  }
}
