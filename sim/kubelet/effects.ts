// What can happen in the stand-in kubelet.
import type { ListedDevice } from './device-manager.ts'

export interface KubeletEffects {
  started: []
  stopped: []
  /** Register has arrived and waits for the dial to be let through. */
  'dial-held': [resource: string]
  /** List has arrived and waits for its answer to be let through. */
  'list-held': []
  /** A call of PodResources was failed on demand. */
  'pod-resources-failed': []
  /** List was answered with these pods. */
  'pods-listed': [pods: readonly string[]]
  /** The devices of a pod are chosen, and Allocate is not called yet. */
  'allocate-held': [devices: readonly string[]]
  registered: [resource: string, endpoint: string]
  'register-refused': [resource: string, reason: string]
  listed: [resource: string, devices: readonly ListedDevice[]]
  /** Before the kubelet draws its conclusion from it, which is 'disconnected'. */
  'stream-ended': [resource: string]
  disconnected: [resource: string]
  admitted: [pod: string, devices: readonly string[]]
  rejected: [pod: string, message: string]
  /** The real kubelet would have panicked. */
  crashed: [reason: string]
  /** After each of the above. */
  change: []
}
