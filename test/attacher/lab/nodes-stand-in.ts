// Stands in for what happens on the nodes and in the extender, as far as the attacher can see it: a device is advertised once its
// card is there, its pod is bound and holds it until the pod ends, a released device is let go when nobody holds or claims it.
// A pod that asks for devices itself is somebody else's to bind and to serve (test/attacher/model/kubelet.ts).
// Does not model: drivers, the kubelet's own choice among devices, its delays, failures. See test/cluster for the real ones.
import { type ENIAttachment, isDeleting, isIdle } from '../../../src/api/eni-attachment.ts'
import { deviceFinalizer } from '../../../src/api/names.ts'
import { NameIndex } from '../../../src/kube/name-index.ts'
import type { Change } from '../../kube-api/object-store.ts'
import type { KubeObject } from '../../kube-api/resources.ts'
import type { Scene } from '../scene.ts'

export interface NodesStandInParts {
  readonly scene: Scene
  /** Whether its node sees the card. */
  readonly hasCard: (attachment: ENIAttachment) => boolean
  /** Time stands still until the returned function is called: what the nodes do takes none. */
  readonly hold: () => () => void
}

export class NodesStandIn {
  readonly #parts: NodesStandInParts
  readonly #byEni = new NameIndex<ENIAttachment>(({ status }) => status?.eni?.eniID)
  readonly #byClaim = new NameIndex<ENIAttachment>(({ spec }) => spec.claim && keyOf(spec.claim))
  readonly #byHolder = new NameIndex<ENIAttachment>(
    ({ status }) => status?.device?.inUseBy && keyOf(status.device.inUseBy),
  )
  readonly #toLookAt = new Set<string>()
  #isLooking = false
  #running = 0

  constructor(parts: NodesStandInParts) {
    this.#parts = parts
    const { api, ec2 } = parts.scene
    api.store('eniattachments').onChange((change) => this.#attachmentChanged(change))
    api.store('pods').onChange(({ object: { metadata } }) => {
      const key = `${metadata.namespace}/${metadata.name}`
      this.#lookSoon([...this.#byClaim.names(key), ...this.#byHolder.names(key)])
    })
    ec2.state.watch(() => this.#instancesChanged())
  }

  /** The card of an ENI has come to its node. */
  plugged(eniID: string): void {
    this.#lookSoon(this.#byEni.names(eniID))
  }

  #attachmentChanged({ type, object, before }: Change): void {
    const { name } = object.metadata
    const after = type === 'DELETED' ? undefined : asAttachment(object)
    for (const index of [this.#byEni, this.#byClaim, this.#byHolder])
      index.changed(name, after, before && asAttachment(before))
    this.#lookSoon([name])
  }

  /** Of all that happens in EC2, only that an instance runs or stops is felt on its node at once. */
  #instancesChanged(): void {
    const { scene } = this.#parts
    const running = scene.ec2.state.instances().filter(({ state }) => state === 'running').length
    if (running === this.#running) return
    this.#running = running
    this.#lookSoon(scene.attachments().map(({ metadata }) => metadata.name))
  }

  /** Not inside the write that it reacts to. */
  #lookSoon(names: readonly string[]): void {
    for (const name of names) this.#toLookAt.add(name)
    if (this.#isLooking || this.#toLookAt.size === 0) return
    this.#isLooking = true
    const release = this.#parts.hold()
    setImmediate(() => {
      this.#isLooking = false
      const due = [...this.#toLookAt]
      this.#toLookAt.clear()
      for (const name of due) this.#look(name)
      release()
    })
  }

  #look(name: string): void {
    const { scene, hasCard } = this.#parts
    const attachment = scene.api.store('eniattachments').get(name) as ENIAttachment | undefined
    if (attachment === undefined) return
    const instance = scene.ec2.state.instances().find(({ instanceId }) => instanceId === attachment.spec.instanceID)
    if (instance?.state !== 'running') return
    const { device } = attachment.status ?? {}
    const { claim } = attachment.spec
    if (device?.inUseBy !== undefined) {
      const { namespace, name: podName } = device.inUseBy
      if (scene.api.store('pods').get(`${namespace}/${podName}`) === undefined)
        this.#report(name, { inUseBy: undefined })
    } else if (isDeleting(attachment)) {
      if (isIdle(attachment)) this.#letGo(name)
    } else if (device?.advertised !== true) {
      if (hasCard(attachment) && device?.failure?.terminal !== true)
        this.#report(name, { pciAddress: '0000:00:06.0', driver: 'vfio-pci', health: 'Healthy', advertised: true })
    } else if (claim !== undefined) {
      const pod = this.#podOf(claim)
      if (pod === undefined || asksForDevices(pod)) return
      const { namespace, name: podName } = claim
      scene.bindPod(claim, attachment.spec.nodeName)
      this.#report(name, { acknowledged: claim.uid, inUseBy: { namespace, name: podName } })
    }
  }

  #podOf({ namespace, name, uid }: { namespace: string; name: string; uid: string }): KubeObject | undefined {
    const pod = this.#parts.scene.api.store('pods').get(`${namespace}/${name}`)
    return pod?.metadata.uid === uid ? pod : undefined
  }

  #report(name: string, change: object): void {
    this.#parts.scene.api.store('eniattachments').update(name, (object) => {
      const { status } = object as unknown as ENIAttachment
      return { ...object, status: { ...status, device: { ...status?.device, ...change } } }
    })
  }

  #letGo(name: string): void {
    this.#parts.scene.api.store('eniattachments').update(name, (object) => {
      const finalizers = (object.metadata.finalizers ?? []).filter((finalizer) => finalizer !== deviceFinalizer)
      return { ...object, metadata: { ...object.metadata, finalizers } }
    })
  }
}

function asksForDevices(pod: KubeObject): boolean {
  return (pod['spec'] as { containers?: unknown } | undefined)?.containers !== undefined
}

function keyOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`
}

function asAttachment(object: KubeObject): ENIAttachment {
  return object as unknown as ENIAttachment
}
