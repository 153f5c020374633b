// Does to ENIAttachments what a node's device plugin does, as far as the attacher can see it: ends its finalizer once the object
// is deleted and nobody claims or holds the device.
import { type DeviceStatus, type ENIAttachment, isDeleting, isIdle } from '../../src/api/eni-attachment.ts'
import { deviceFinalizer } from '../../src/api/names.ts'
import type { ObjectStore } from '../kube-api/object-store.ts'
import type { KubeObject } from '../kube-api/resources.ts'

export class DevicePluginStandIn {
  readonly #store: ObjectStore
  /** A device plugin that is gone lets go of nothing. */
  isThere = true

  constructor(store: ObjectStore) {
    this.#store = store
    // Not inside the write that it reacts to.
    store.onChange(({ object }) => void setImmediate(() => this.look(object.metadata.name)))
  }

  report(name: string, device: DeviceStatus): void {
    this.#store.update(name, (object) => ({ ...object, status: { ...(object['status'] as object), device } }))
  }

  /** Looks at what it may have missed. */
  look(name: string): void {
    const attachment = this.#store.get(name) as unknown as ENIAttachment | undefined
    if (!this.isThere || attachment === undefined || !isDeleting(attachment) || !isIdle(attachment)) return
    this.#store.update(name, (object) => withoutFinalizer(object))
  }
}

function withoutFinalizer(object: KubeObject): KubeObject {
  const finalizers = (object.metadata.finalizers ?? []).filter((finalizer) => finalizer !== deviceFinalizer)
  return { ...object, metadata: { ...object.metadata, finalizers } }
}
