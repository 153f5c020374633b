// What the device plugin counts and times, for /metrics.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

const stepBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export class DevicePluginMetrics {
  readonly registry = new Registry()
  readonly devices: Gauge<'resource' | 'health'>
  readonly allocations: Counter<'resource' | 'outcome'>
  readonly driverChangeSeconds: Histogram<'driver' | 'outcome'>
  readonly acknowledgeSeconds: Histogram
  readonly failures: Gauge<'reason'>

  constructor() {
    const registers = [this.registry]
    collectDefaultMetrics({ register: this.registry })
    this.devices = new Gauge({
      name: 'jiteni_device_plugin_devices',
      help: "Devices in the kubelet's lists, by resource and health.",
      labelNames: ['resource', 'health'],
      registers,
    })
    this.allocations = new Counter({
      name: 'jiteni_device_plugin_allocations_total',
      help: 'Answers to Allocate by resource and outcome: granted or refused.',
      labelNames: ['resource', 'outcome'],
      registers,
    })
    this.driverChangeSeconds = new Histogram({
      name: 'jiteni_device_plugin_driver_change_duration_seconds',
      help: 'Time to give a card to another driver, by driver and outcome: done, failed (rolled back) or stuck.',
      labelNames: ['driver', 'outcome'],
      buckets: stepBuckets,
      registers,
    })
    this.acknowledgeSeconds = new Histogram({
      name: 'jiteni_device_plugin_acknowledge_duration_seconds',
      help: 'Time from the card or the claim, whichever this process saw later, to the acknowledgement.',
      buckets: stepBuckets,
      registers,
    })
    this.failures = new Gauge({
      name: 'jiteni_device_plugin_failures',
      help: 'Attachments of this node that are refused now, by reason.',
      labelNames: ['reason'],
      registers,
    })
  }
}
