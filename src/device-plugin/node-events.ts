// Events on the Node, because at night one looks at `kubectl describe node` first: what is refused and why, a card that hangs and
// comes back, a pod that holds what we do not offer. What becomes of one ENI also stands in its ENIAttachment's status.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import type { EventRecorder } from '../kube/event-recorder.ts'
import type { DeviceKey } from './occupancy.ts'
import type { StepFailure } from './step.ts'
import type { Plan } from './situation.ts'

export class NodeEvents {
  readonly #recorder: Pick<EventRecorder, 'record'>
  readonly #nodeName: string
  readonly #quarantined = new Set<string>()

  constructor(recorder: Pick<EventRecorder, 'record'>, nodeName: string) {
    this.#recorder = recorder
    this.#nodeName = nodeName
  }

  /** To be called after each pass: the recorder says the same thing of a node again only after ten minutes. */
  look(plans: readonly Plan[]): void {
    for (const { situation, step } of plans) {
      const { attachment, work } = situation
      const { uid } = attachment.metadata
      if (step.kind === 'refuse') this.#refused(attachment, step.failure)
      if (work.kind === 'stuck') this.#quarantined.add(uid)
      else if (this.#quarantined.delete(uid)) this.#healed(attachment)
    }
    const present = new Set(plans.map(({ situation }) => situation.attachment.metadata.uid))
    for (const uid of this.#quarantined) if (!present.has(uid)) this.#quarantined.delete(uid)
  }

  unlistedDeviceHeld(key: DeviceKey, pod: string): void {
    const text = `pod ${pod} holds ${key.replace(' ', ' device ')}, which is not in the list of the device plugin; it is left alone`
    this.#record(
      'Warning',
      'UnlistedDeviceHeld',
      `${text}. Delete the pod if it does not work; its controller makes another.`,
    )
  }

  /** It is bound to our driver, and the ENIAttachment of which its journal entry tells is gone. */
  cardLeftAlone(pciAddress: string, attachment: string): void {
    const text = `${pciAddress} was given to ENIAttachment ${attachment}, which is gone; the card is left alone`
    this.#record('Warning', 'CardLeftAlone', text)
  }

  #refused(attachment: ENIAttachment, { reason, message }: StepFailure): void {
    this.#record('Warning', reason, `${nameOf(attachment)}: ${message}`)
  }

  #healed(attachment: ENIAttachment): void {
    this.#record(
      'Normal',
      'QuarantineEnded',
      `${nameOf(attachment)}: the sysfs write has ended; the card is in use again`,
    )
  }

  #record(type: 'Normal' | 'Warning', reason: string, message: string): void {
    const name = this.#nodeName
    // As the kubelet's own events, by name: it needs no Node, and `kubectl describe node` looks for both (describe.go).
    this.#recorder.record({ apiVersion: 'v1', kind: 'Node', name, uid: name }, type, reason, message)
  }
}

function nameOf({ metadata, status }: ENIAttachment): string {
  const { eniID } = status?.eni ?? {}
  return `${eniID ?? 'no ENI yet'} (ENIAttachment ${metadata.name})`
}
