// What can be done next about an ENIAttachment, and what stands in the way: the words of plan.ts.
import type { HostLink, LinkChange } from './host-links.ts'
import type { LinkRecord } from './link-plan.ts'
import type { KnownCard } from './match.ts'

export interface StepFailure {
  readonly reason:
    | 'AmbiguousMAC'
    | 'CardNotIdentified'
    | 'PCIAddressMismatch'
    | 'InterfaceInUse'
    | 'HostLinksUnknown'
    | 'DeviceNotAllowed'
    | 'GroupInUse'
    | 'CardInUse'
    | 'DriverMissing'
    | 'DriverChanged'
    | 'DeviceNodeMissing'
    | 'CardMissing'
    | 'ForgottenByKubelet'
    | 'ENIDetached'
    | 'Flapping'
    | 'BindFailed'
    | 'NoIOMMU'
    | 'RestoreFailed'
    | 'SysfsStuck'
    | 'JournalFailed'
    | 'SpecNotWritten'
    | 'InterfaceNotSet'
    | 'InterfaceNameTaken'
    | 'MTUTooLarge'
    | 'ResourceNotServed'
  readonly message: string
  /** Ends this attachment: its claim is freed and the pod goes elsewhere. */
  readonly terminal: boolean
  readonly observedGeneration?: number
}

/** What is under way, or was last tried, for this attachment. */
export type WorkState =
  | { readonly kind: 'none' }
  | { readonly kind: 'running' }
  | { readonly kind: 'backing-off'; readonly failure: StepFailure | undefined }
  /** A sysfs write does not return; the card is left alone until it does. */
  | { readonly kind: 'stuck'; readonly failure: StepFailure }

export type Step =
  /** The card is not there (yet). */
  | { readonly kind: 'await-card' }
  /** `soon`: what is waited for comes within moments, and nothing tells when. */
  | { readonly kind: 'wait'; readonly why: string; readonly soon?: true }
  | { readonly kind: 'refuse'; readonly failure: StepFailure }
  /** Note the card's identity, and how its interface is, before a pod can take it out of our sight; then set it up. */
  | {
      readonly kind: 'set-link'
      readonly card: KnownCard
      readonly link: HostLink
      readonly changes: readonly LinkChange[]
      readonly record: LinkRecord
      /** It was set up before, and others have changed it. */
      readonly isCorrection: boolean
    }
  /** Note the identity of a card whose journal entry was lost. */
  | { readonly kind: 'adopt'; readonly card: KnownCard; readonly kernelDriver: string | undefined }
  | { readonly kind: 'bind'; readonly card: KnownCard; readonly driver: string }
  /** Tell the container runtime which nodes the device has. */
  | { readonly kind: 'describe'; readonly card: KnownCard }
  /** The card is as it should be; with a resource it is in the kubelet's list. */
  | { readonly kind: 'offer'; readonly card: KnownCard }
  /** Being released: Unhealthy for the kubelet, and yet as good as before for a pod that was promised it just before. */
  | { readonly kind: 'withdraw' }
  /** Out of the kubelet's list, as soon as that is safe. */
  | { readonly kind: 'leave-list'; readonly failure?: StepFailure }
  | { readonly kind: 'restore'; readonly card: KnownCard }
  | { readonly kind: 'restore-link'; readonly card: KnownCard }
  /** Nothing of ours is left on the node, but perhaps an override of a bind that was cut off: end the finalizer. */
  | { readonly kind: 'finish'; readonly card?: KnownCard }
  | { readonly kind: 'finished' }
