// What the attacher counts and times, for /metrics.
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export class AttacherMetrics {
  readonly registry = new Registry()
  readonly ec2CallSeconds: Histogram<'action' | 'outcome'>
  readonly leader: Gauge

  constructor() {
    const registers = [this.registry]
    collectDefaultMetrics({ register: this.registry })
    this.ec2CallSeconds = new Histogram({
      name: 'jiteni_attacher_ec2_call_seconds',
      help: 'EC2 calls by action and outcome (ok, or the EC2 error code), retries of the SDK included.',
      labelNames: ['action', 'outcome'],
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60],
      registers,
    })
    this.leader = new Gauge({ name: 'jiteni_attacher_leader', help: '1 while this process leads.', registers })
  }
}
