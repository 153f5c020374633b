// What the device plugin counts and times, for /metrics. docs/device-plugin.md has the same list for its reader.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

const stepBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Who disagrees with whom: see mismatches.ts. */
const mismatchKinds = ['held_not_listed', 'held_by_another_pod', 'never_shown'] as const
export type MismatchKind = (typeof mismatchKinds)[number]

export class DevicePluginMetrics {
  readonly registry = new Registry()
  readonly devices: Gauge<'resource' | 'health' | 'reason'>
  readonly allocations: Counter<'resource' | 'outcome'>
  readonly driverChangeSeconds: Histogram<'driver' | 'outcome'>
  readonly advertiseSeconds: Histogram
  readonly cardToAdvertisedSeconds: Histogram
  readonly acknowledgeSeconds: Histogram
  readonly failures: Gauge<'reason'>
  readonly quarantined: Gauge
  readonly registrations: Counter<'resource' | 'cause'>
  readonly registrationFailures: Counter<'resource'>
  readonly listUpdates: Counter<'resource'>
  readonly mismatches: Counter<'kind'>
  readonly writeFailures: Counter<'write'>
  readonly linkCorrections: Counter

  constructor() {
    const registers = [this.registry]
    collectDefaultMetrics({ register: this.registry })
    this.devices = new Gauge({
      name: 'jiteni_device_plugin_devices',
      help: "Devices in the kubelet's lists, by resource, health and, when Unhealthy, the reason.",
      labelNames: ['resource', 'health', 'reason'],
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
    this.advertiseSeconds = new Histogram({
      name: 'jiteni_device_plugin_advertise_duration_seconds',
      help: 'Time from a device in our list to the same device in what the kubelet can allocate.',
      buckets: stepBuckets,
      registers,
    })
    this.cardToAdvertisedSeconds = new Histogram({
      name: 'jiteni_device_plugin_card_to_advertised_duration_seconds',
      help: 'Time from the first sight of a card by this process to its device in what the kubelet can allocate, once per ENI.',
      buckets: stepBuckets,
      registers,
    })
    this.acknowledgeSeconds = new Histogram({
      name: 'jiteni_device_plugin_acknowledge_duration_seconds',
      help: 'Time from the card or the claim, whichever this process saw later, to the acknowledgement.',
      buckets: stepBuckets,
      registers,
    })
    this.linkCorrections = new Counter({
      name: 'jiteni_device_plugin_interface_corrections_total',
      help: 'Times that the interface of a kernel-bound ENI was set again after others, a CNI say, had changed it.',
      registers,
    })
    this.failures = new Gauge({
      name: 'jiteni_device_plugin_failures',
      help: 'Attachments of this node that are refused now, by reason.',
      labelNames: ['reason'],
      registers,
    })
    this.quarantined = new Gauge({
      name: 'jiteni_device_plugin_quarantined_cards',
      help: 'Cards that are left alone because a sysfs write for them does not return.',
      registers,
    })
    this.registrations = new Counter({
      name: 'jiteni_device_plugin_registrations_total',
      help: 'Registrations with the kubelet by resource and cause: first, kubelet_restarted, socket_removed or stream_ended.',
      labelNames: ['resource', 'cause'],
      registers,
    })
    this.registrationFailures = new Counter({
      name: 'jiteni_device_plugin_registration_failures_total',
      help: 'Registrations that failed and are tried again, by resource.',
      labelNames: ['resource'],
      registers,
    })
    this.listUpdates = new Counter({
      name: 'jiteni_device_plugin_list_updates_total',
      help: 'Changes of a device list that the kubelet was told, by resource.',
      labelNames: ['resource'],
      registers,
    })
    this.mismatches = new Counter({
      name: 'jiteni_device_plugin_mismatches_total',
      help: 'Disagreements by kind: held_not_listed (the kubelet has given a pod a device that is not in our list), held_by_another_pod (than the one whose claim it has; the claim is moved), never_shown (handed out, and no pod was ever seen with it).',
      labelNames: ['kind'],
      registers,
    })
    for (const kind of mismatchKinds) this.mismatches.inc({ kind }, 0)
    this.writeFailures = new Counter({
      name: 'jiteni_device_plugin_api_write_failures_total',
      help: 'Writes that the API server did not take and that are tried again: status or finalizer.',
      labelNames: ['write'],
      registers,
    })
    for (const write of ['status', 'finalizer']) this.writeFailures.inc({ write }, 0)
  }
}
