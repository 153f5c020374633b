// The gauges of /metrics after each pass: devices by health and reason, refusals by reason, cards in quarantine.
import type { CardWork } from './card-work.ts'
import type { DeviceLists } from './device-lists.ts'
import type { DevicePluginMetrics } from './metrics.ts'
import type { Step } from './step.ts'
import type { Plan } from './situation.ts'

export function countPass(
  metrics: DevicePluginMetrics,
  plans: readonly Plan[],
  { lists, work }: { readonly lists: DeviceLists; readonly work: CardWork },
): void {
  const steps = new Map(plans.map(({ situation, step }) => [situation.attachment.metadata.uid, step]))
  metrics.devices.reset()
  for (const { resource, health, attachmentUID } of lists.all()) {
    const reason = health === 'Healthy' ? '' : whyUnhealthy(steps.get(attachmentUID))
    metrics.devices.inc({ resource, health, reason })
  }
  metrics.failures.reset()
  for (const { step } of plans) if (step.kind === 'refuse') metrics.failures.inc({ reason: step.failure.reason })
  metrics.quarantined.set(work.quarantined)
}

/** A refusal by its own reason; the other words are in docs/device-plugin.md. */
function whyUnhealthy(step: Step | undefined): string {
  switch (step?.kind) {
    case undefined:
      return 'NoAttachment'
    case 'refuse':
      return step.failure.reason
    case 'await-card':
      return 'CardMissing'
    case 'leave-list':
      return 'DriverChanged'
    case 'withdraw':
    case 'restore':
    case 'restore-link':
    case 'finish':
    case 'finished':
      return 'Releasing'
    case 'wait':
    case 'set-link':
    case 'adopt':
    case 'describe':
    case 'bind':
    case 'offer':
      return 'Waiting'
  }
}
