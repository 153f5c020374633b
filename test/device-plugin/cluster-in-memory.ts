// The cluster's side of the device plugin without an API server: ENIAttachments, NodeENIs and the node, with the two writes
// that the plugin makes. Every change is an event to await.
import {
  type Claim,
  type DeviceStatus,
  type EniStatus,
  type ENIAttachment,
  phaseOf,
} from '../../src/api/eni-attachment.ts'
import { apiVersion, deviceFinalizer, eniFinalizer } from '../../src/api/names.ts'
import { type NodeENI, nodeENISpecSchema } from '../../src/api/node-eni.ts'
import type { AttachmentWrites } from '../../src/device-plugin/attachment-writes.ts'
import type { ClusterState } from '../../src/device-plugin/node-demand.ts'
import type { EventRecorder } from '../../src/kube/event-recorder.ts'
import type { NodeFacts } from '../../src/kube/objects.ts'

export const instanceID = 'i-0123456789abcdef0'
export const resource = 'intel.com/upf_dataplane'

export class ClusterInMemory implements AttachmentWrites {
  readonly #attachments = new Map<string, ENIAttachment>()
  readonly #nodeENIs = new Map<string, NodeENI>()
  readonly #waiting = new Set<() => void>()
  readonly #listeners = new Set<() => void>()
  /** Every status written, in order. */
  readonly written: { readonly name: string; readonly device: DeviceStatus }[] = []
  /** Every event recorded, in order; said once of the same. */
  readonly eventsSaid: {
    readonly on: string
    readonly type: string
    readonly reason: string
    readonly message: string
  }[] = []
  /** While set, no write succeeds. */
  outage: Error | undefined
  #uids = 0

  readonly node: NodeFacts = {
    name: 'node-a',
    labels: { upf: 'yes' },
    zone: 'eu-central-1a',
    instanceID,
    bootID: 'boot-1',
    addresses: ['10.0.0.5'],
    capacity: undefined,
    terminating: false,
    closedBy: [],
    registered: new Set(),
  }

  readonly events: Pick<EventRecorder, 'record'> = {
    record: ({ kind, name }, type, reason, message) => {
      const said = { on: `${kind} ${name}`, type, reason, message }
      if (this.eventsSaid.some((earlier) => JSON.stringify(earlier) === JSON.stringify(said))) return
      this.eventsSaid.push(said)
      for (const check of this.#waiting) check()
    },
  }

  state(): ClusterState {
    return { node: this.node, nodeENIs: this.#nodeENIs.values(), attachments: this.#attachments.values() }
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }

  addNodeENI(name: string, spec: object = {}): void {
    const parsed = nodeENISpecSchema.parse({
      nodeSelector: { upf: 'yes' },
      subnetID: 'subnet-1',
      securityGroupIDs: ['sg-1'],
      enableDPDK: true,
      dpdkResourceName: resource,
      ...spec,
    })
    const metadata = { name, uid: `uid-${name}`, resourceVersion: '1' }
    this.#nodeENIs.set(name, { apiVersion, kind: 'NodeENI', metadata, spec: parsed })
    this.#changed()
  }

  addAttachment(
    name: string,
    { mac, claim, spec }: { mac?: string; claim?: Claim; spec?: object } = {},
  ): ENIAttachment {
    const eni: EniStatus = {
      eniID: `eni-${name}`,
      subnetID: 'subnet-1',
      cidr: '10.0.1.0/24',
      addresses: ['10.0.1.7'],
      deviceIndex: 1,
      networkCard: 0,
      ...(mac !== undefined && { mac, attached: true }),
    }
    const attachment: ENIAttachment = {
      apiVersion,
      kind: 'ENIAttachment',
      metadata: {
        name,
        uid: `uid-${name}-${++this.#uids}`,
        resourceVersion: '1',
        finalizers: [eniFinalizer, deviceFinalizer],
      },
      spec: {
        nodeENI: 'upf',
        nodeName: 'node-a',
        instanceID,
        resourceName: resource,
        ...(claim && { claim }),
        ...spec,
      },
      ...(mac !== undefined && { status: { eni } }),
    }
    this.#attachments.set(name, attachment)
    this.#changed()
    return attachment
  }

  get(name: string): ENIAttachment | undefined {
    return this.#attachments.get(name)
  }

  device(name: string): DeviceStatus | undefined {
    return this.get(name)?.status?.device
  }

  setClaim(name: string, claim: Claim | undefined): void {
    this.#update(name, (attachment) => {
      const { claim: _, ...spec } = attachment.spec
      return { ...attachment, spec: claim === undefined ? spec : { ...spec, claim } }
    })
  }

  /** As if the attacher wrote its part. */
  setEni(name: string, change: (eni: EniStatus) => EniStatus): void {
    this.#update(name, (attachment) => ({
      ...attachment,
      status: { ...attachment.status, eni: change(attachment.status?.eni ?? {}) },
    }))
  }

  delete(name: string): void {
    this.#update(name, (attachment) => ({
      ...attachment,
      metadata: { ...attachment.metadata, deletionTimestamp: '2030-01-01T00:00:00Z' },
    }))
  }

  /** As if somebody had removed every finalizer by force. */
  forceAway(name: string): void {
    this.#attachments.delete(name)
    this.#changed()
  }

  /** Our finalizer is gone, or the object is. */
  isReleased(name: string): boolean {
    return this.get(name)?.metadata.finalizers?.includes(deviceFinalizer) !== true
  }

  async writeStatus({ metadata }: ENIAttachment, device: DeviceStatus): Promise<void> {
    if (this.outage !== undefined) throw this.outage
    this.written.push({ name: metadata.name, device })
    this.#update(metadata.name, (attachment) => {
      const after = { ...attachment, status: { ...attachment.status, device } }
      return { ...after, status: { ...after.status, phase: phaseOf(after) } }
    })
  }

  async endFinalizer({ metadata }: ENIAttachment): Promise<void> {
    if (this.outage !== undefined) throw this.outage
    this.#update(metadata.name, (attachment) => ({
      ...attachment,
      metadata: {
        ...attachment.metadata,
        finalizers: attachment.metadata.finalizers?.filter((name) => name !== deviceFinalizer),
      },
    }))
  }

  /** Resolves once the condition holds; looks after every change. */
  async until(condition: () => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const check = () => {
      if (condition()) resolve()
    }
    this.#waiting.add(check)
    check()
    await promise
    this.#waiting.delete(check)
  }

  #update(name: string, change: (attachment: ENIAttachment) => ENIAttachment): void {
    const before = this.#attachments.get(name)
    if (before === undefined) return
    this.#attachments.set(name, change(before))
    this.#changed()
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
    for (const check of this.#waiting) check()
  }
}
