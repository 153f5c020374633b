// Pods that the kubelet has refused for good, because the device that was acknowledged for them was not there any more when they
// came: after a restart of their node, or of its device plugin or kubelet at that moment. The kubelet never tries such a pod again.
import type { EventRecorder } from '../kube/event-recorder.ts'
import type { PodFacts } from '../kube/objects.ts'
import type { AttacherMetrics } from './metrics.ts'

const rememberedMax = 1_000

export class RejectedPods {
  readonly #events: Pick<EventRecorder, 'record'>
  readonly #metrics: AttacherMetrics
  /** Pod UID and resource, oldest first. */
  readonly #told = new Set<string>()

  constructor(events: Pick<EventRecorder, 'record'>, metrics: AttacherMetrics) {
    this.#events = events
    this.#metrics = metrics
  }

  /** To be called when a claim on a device of this resource was taken from a pod that has ended. */
  claimFreed(pod: PodFacts, resource: string): void {
    const { rejection, namespace, name, uid, nodeName } = pod
    if (rejection === undefined || !isAbout(resource, rejection)) return
    const key = `${uid} ${resource}`
    if (this.#told.has(key)) return
    this.#remember(key)
    this.#metrics.rejectedPods.inc({ resource })
    this.#events.record(
      { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
      'Warning',
      'DeviceNotReady',
      `the kubelet of ${nodeName} had no device ${resource} for this pod when it came, though it had one before: the node, its ` +
        'kubelet or its device plugin has restarted. The kubelet does not try this pod again; its controller makes another, ' +
        `and a pod without a controller has to be made again. The kubelet says: ${rejection.message}`,
    )
  }

  #remember(key: string): void {
    this.#told.add(key)
    for (const oldest of this.#told) {
      if (this.#told.size <= rememberedMax) break
      this.#told.delete(oldest)
    }
  }
}

/** A pod may have been refused for a device of somebody else: every refusal for a device names its resource (devicemanager/manager.go). */
function isAbout(resource: string, { reason, message }: NonNullable<PodFacts['rejection']>): boolean {
  return reason === `OutOf${resource}` || message.includes(resource)
}
