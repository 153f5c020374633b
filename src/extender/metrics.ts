// What the extender counts and times, for /metrics.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

export class ExtenderMetrics {
  readonly registry = new Registry()
  readonly callSeconds: Histogram<'verb'>
  readonly bindsWaiting: Gauge
  readonly outcomes: Counter<'verb' | 'outcome'>

  constructor() {
    const registers = [this.registry]
    collectDefaultMetrics({ register: this.registry })
    this.callSeconds = new Histogram({
      name: 'jiteni_extender_call_duration_seconds',
      help: 'Time from a request to its answer, by extender verb.',
      labelNames: ['verb'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 2.5, 5, 10, 30, 60, 300],
      registers,
    })
    this.bindsWaiting = new Gauge({
      name: 'jiteni_extender_binds_waiting',
      help: 'bind calls that hold a pod until its device is acknowledged.',
      registers,
    })
    this.outcomes = new Counter({
      name: 'jiteni_extender_calls_total',
      help: 'Answered calls by verb and outcome: ok, refused (with a reason for the scheduler) or failed (an answer other than 200, or a bind that the API server kept from its end).',
      labelNames: ['verb', 'outcome'],
      registers,
    })
  }
}
