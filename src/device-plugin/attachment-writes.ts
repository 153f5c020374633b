// What the device plugin writes to the API server: its part of an ENIAttachment's status, and the end of its finalizer.
import { type DeviceStatus, type ENIAttachment, phaseOf } from '../api/eni-attachment.ts'
import { apiVersion, deviceFinalizer, devicePluginManager } from '../api/names.ts'
import type { KubeClient } from '../kube/cluster.ts'
import { isNotFound } from '../kube/kube-error.ts'
import { attachmentPath } from '../kube/resource.ts'

export interface AttachmentWrites {
  /** Replaces status.device and the phase. */
  readonly writeStatus: (attachment: ENIAttachment, device: DeviceStatus) => Promise<void>
  /** Removes our finalizer and no other, if the object is still as it was read. */
  readonly endFinalizer: (attachment: ENIAttachment) => Promise<void>
}

export class ClusterAttachmentWrites implements AttachmentWrites {
  readonly #cluster: KubeClient

  constructor(cluster: KubeClient) {
    this.#cluster = cluster
  }

  /**
   * Server-side apply: fields that we wrote before and leave out now are removed; those of the attacher stay. A uid in the body
   * would guard nothing: for the status of a custom resource the API server puts the old metadata back before anything compares
   * it (apiextensions-apiserver, status_strategy.go; tried on 1.36.3), and resourceVersion would fail for every write of others.
   */
  async writeStatus(attachment: ENIAttachment, device: DeviceStatus): Promise<void> {
    const { name } = attachment.metadata
    const phase = phaseOf({ ...attachment, status: { ...attachment.status, device } })
    const body = { apiVersion, kind: 'ENIAttachment', metadata: { name }, status: { phase, device } }
    const query = { fieldManager: devicePluginManager, force: true }
    await ignoreGone(this.#cluster.request('PATCH', `${attachmentPath(name)}/status`, { as: 'apply', body, query }))
  }

  async endFinalizer({ metadata }: ENIAttachment): Promise<void> {
    const index = metadata.finalizers?.indexOf(deviceFinalizer) ?? -1
    if (index < 0) return
    const path = `/metadata/finalizers/${index}`
    const body = [
      { op: 'test', path: '/metadata/uid', value: metadata.uid },
      { op: 'test', path, value: deviceFinalizer },
      { op: 'remove', path },
    ]
    const query = { fieldManager: devicePluginManager }
    await ignoreGone(this.#cluster.request('PATCH', attachmentPath(metadata.name), { as: 'jsonPatch', body, query }))
  }
}

/** An object that is gone needs neither status nor finalizer. */
async function ignoreGone(request: Promise<unknown>): Promise<void> {
  try {
    await request
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
}
