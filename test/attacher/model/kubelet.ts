// The kubelets and device plugins of all nodes, for pods that ask for devices: a claim is acknowledged while its device is there and
// free, a pod that is bound gets devices that nobody else holds, whichever the kubelet picks, and holds them until it has ended.
// Beside it the lab's NodesStandIn advertises cards that come, and lets released ones go.
// Does not model: drivers, delays, a device plugin that is down while its node runs.
import { type ENIAttachment, isDeleting } from '../../../src/api/eni-attachment.ts'
import { deviceFinalizer } from '../../../src/api/names.ts'
import { podDemand, type ResourceAsker } from '../../../src/api/pod-demand.ts'
import type { Lab } from '../lab/lab.ts'
import type { KubeObject } from '../../kube-api/resources.ts'
import type { EniRecord } from './eni-record.ts'
import { resources } from './world.ts'

export interface KubeletParts {
  readonly lab: Lab
  readonly record: EniRecord
  /** The instance that bears the name now. */
  readonly instanceOf: (nodeName: string) => string | undefined
  /** A pod runs, and has not what it asked for. */
  readonly onMissing: (what: string) => void
}

export class Kubelet {
  readonly #parts: KubeletParts
  /** Pod UIDs by name of the ENIAttachment. */
  readonly #holders = new Map<string, string>()
  #isLooking = false

  constructor(parts: KubeletParts) {
    this.#parts = parts
    const { api, ec2 } = parts.lab
    const look = () => this.#lookSoon()
    for (const resource of ['eniattachments', 'pods'] as const) api.store(resource).onChange(look)
    ec2.state.watch(look)
  }

  /** The device plugin cannot bind the card to its driver. Answers whether there is one that nobody needs yet. */
  failCard(name: string): boolean {
    const { metadata, spec, status } = this.#parts.lab.scene.attachment(name)
    const isOffered = metadata.finalizers?.includes(deviceFinalizer) === true && this.#isRunning(spec.instanceID)
    const { inUseBy, acknowledged, failure } = status?.device ?? {}
    if (!isOffered || inUseBy !== undefined || acknowledged !== undefined || failure !== undefined) return false
    const time = new Date(this.#parts.lab.clock.now()).toISOString()
    const why = { reason: 'DriverMissing', message: 'vfio-pci is not there', terminal: true, time }
    this.#report(name, { advertised: false, health: 'Unhealthy', failure: why })
    return true
  }

  #lookSoon(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    const release = this.#parts.lab.clock.hold()
    setImmediate(() => {
      this.#isLooking = false
      for (const { metadata } of this.#parts.lab.scene.attachments()) this.#look(metadata.name)
      for (const pod of this.#pods().list()) this.#admit(pod)
      release()
    })
  }

  #look(name: string): void {
    const { scene } = this.#parts.lab
    const attachment = scene.attachment(name)
    if (!this.#isRunning(attachment.spec.instanceID)) return
    const { device } = attachment.status ?? {}
    if (device === undefined) return
    if (device.inUseBy !== undefined && !this.#isHeld(attachment)) {
      this.#holders.delete(name)
      this.#report(name, { inUseBy: undefined })
    }
    const isThere = this.#hasCard(attachment)
    if (device.advertised === true && !isThere) this.#report(name, { advertised: false })
    const acknowledged = this.#acknowledgement(scene.attachment(name))
    if (device.acknowledged !== acknowledged) this.#report(name, { acknowledged })
  }

  /** The claim for which the device is kept. */
  #acknowledgement({ spec, status }: ENIAttachment): string | undefined {
    const { advertised, inUseBy, acknowledged } = status?.device ?? {}
    const { claim } = spec
    if (claim === undefined || advertised !== true) return undefined
    const pod = this.#pods().get(`${claim.namespace}/${claim.name}`)
    if (pod?.metadata.uid !== claim.uid) return undefined
    return inUseBy === undefined || acknowledged === claim.uid ? claim.uid : undefined
  }

  #isHeld({ metadata, status }: ENIAttachment): boolean {
    const { namespace, name } = status?.device?.inUseBy ?? {}
    const pod = this.#pods().get(`${namespace}/${name}`)
    return pod !== undefined && pod.metadata.uid === this.#holders.get(metadata.name) && !hasEnded(pod)
  }

  /** Gives a pod that is bound what it does not have yet. */
  #admit(pod: KubeObject): void {
    const { scene } = this.#parts.lab
    const nodeName = nodeOf(pod)
    const instanceID = this.#parts.instanceOf(nodeName ?? '')
    if (nodeName === undefined || instanceID === undefined || hasEnded(pod) || !this.#isRunning(instanceID)) return
    for (const [resource, count] of podDemand(pod as ResourceAsker, new Set(resources))) {
      const onNode = scene
        .attachments()
        .filter(({ spec }) => spec.instanceID === instanceID && spec.resourceName === resource)
      const held = onNode.filter(({ metadata }) => this.#holders.get(metadata.name) === pod.metadata.uid).length
      const free = onNode.filter((one) => this.#isFree(one))
      if (held + free.length < count) return this.#refuse(pod, resource)
      for (let i = held; i < count; i++) this.#give(pod, free)
    }
  }

  #isFree(attachment: ENIAttachment): boolean {
    const { advertised, inUseBy } = attachment.status?.device ?? {}
    const isOffered = attachment.metadata.finalizers?.includes(deviceFinalizer) === true
    return isOffered && advertised === true && inUseBy === undefined
  }

  /** The kubelet has no eye for claims. */
  #give({ metadata: { namespace = '', name, uid } }: KubeObject, free: ENIAttachment[]): void {
    const [chosen] = free.splice(Number.parseInt(uid, 16) % free.length, 1)
    if (chosen === undefined) return
    this.#holders.set(chosen.metadata.name, uid)
    this.#report(chosen.metadata.name, { inUseBy: { namespace, name } })
  }

  /** As kubelet's UnexpectedAdmissionError does. */
  #refuse(pod: KubeObject, resource: string): void {
    const { name, namespace, uid } = pod.metadata
    if (!this.#isExcused(uid)) {
      const devices = this.#parts.lab.scene
        .attachments()
        .map((one) => `${one.metadata.name}${isDeleting(one) ? ' (deleting)' : ''}`)
      this.#parts.onMissing(`pod ${name} is bound, and has no ${resource}; there are ${devices.join(', ')}`)
    }
    this.#pods().update(`${namespace}/${name}`, (object) => ({ ...object, status: { phase: 'Failed' } }))
  }

  /** Somebody took the card, or the instance for which the claim was acknowledged is gone and the name of its node came back. */
  #isExcused(podUID: string): boolean {
    const { lab, record, instanceOf } = this.#parts
    return lab.scene.attachments().some(({ spec, status }) => {
      const isOverOrTaken = instanceOf(spec.nodeName) !== spec.instanceID || record.taken.has(status?.eni?.eniID ?? '')
      return isOverOrTaken && spec.claim?.uid === podUID
    })
  }

  #hasCard({ status }: ENIAttachment): boolean {
    return this.#parts.lab.ec2.state.bay.has(status?.eni?.eniID ?? '')
  }

  #isRunning(instanceID: string): boolean {
    const { state } = this.#parts.lab.ec2
    return state.instances().some(({ instanceId, state: life }) => instanceId === instanceID && life === 'running')
  }

  #pods() {
    return this.#parts.lab.api.store('pods')
  }

  #report(name: string, change: object): void {
    this.#parts.lab.api.store('eniattachments').update(name, (object) => {
      const { status } = object as unknown as ENIAttachment
      return { ...object, status: { ...status, device: { ...status?.device, ...change } } }
    })
  }
}

/** To which it is bound. */
export function nodeOf(pod: KubeObject): string | undefined {
  return (pod['spec'] as { nodeName?: string }).nodeName
}

export function hasEnded(pod: KubeObject): boolean {
  const { phase } = (pod['status'] ?? {}) as { phase?: string }
  return phase === 'Succeeded' || phase === 'Failed'
}
