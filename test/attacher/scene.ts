// What users, EC2 and other programs do around the attacher, in the words in which its tests tell of it. Nothing here waits.
import assert from 'node:assert/strict'

import type { SimulatedEc2 } from '../../sim/ec2/start-ec2.ts'
import { attachNetworkInterface } from '../../sim/ec2/state/attach-network-interface.ts'
import { newNetworkInterface } from '../../sim/ec2/state/create-network-interface.ts'
import { type AttachmentSpec, type Claim, type ENIAttachment, newAttachment } from '../../src/api/eni-attachment.ts'
import { zoneLabel } from '../../src/api/names.ts'
import type { NodeENISpec } from '../../src/api/node-eni.ts'
import type { ApiDouble } from '../kube-api/api-double.ts'
import type { KubeObject } from '../kube-api/resources.ts'

import { resource } from './attacher-world.ts'
import { ForeignEnis } from './foreign-enis.ts'

export class Scene {
  readonly api: Pick<ApiDouble, 'store'>
  readonly ec2: Pick<SimulatedEc2, 'state' | 'detachByHand' | 'terminateInstance'>
  readonly foreign: ForeignEnis

  constructor(api: Scene['api'], ec2: Scene['ec2']) {
    this.api = api
    this.ec2 = ec2
    this.foreign = new ForeignEnis(ec2.state)
  }

  addNode(name: string): void {
    const instanceID = `i-${name}`
    const zone = this.ec2.state.instances().find(({ instanceId }) => instanceId === instanceID)?.availabilityZone
    const labels = { ...(zone !== undefined && { [zoneLabel]: zone }), node: name }
    const spec = { providerID: `aws:///${zone}/${instanceID}` }
    this.api.store('nodes').create({ metadata: { name, labels } as { name: string }, spec })
  }

  addNodeENI(name: string, spec: Partial<NodeENISpec> = {}): void {
    const common = { nodeSelector: {}, subnetIDs: ['subnet-a1'], securityGroupIDs: ['sg-upf'] }
    this.api.store('nodeenis').create({ metadata: { name }, spec: { ...common, ...spec } })
  }

  /** Somebody else attaches an ENI, as VPC CNI does: one of so long ago that every call knows it. */
  attachForeign(instanceId: string, deviceIndex: number): void {
    const { state } = this.ec2
    const { eniId } = newNetworkInterface(state, { subnetId: state.instance(instanceId).subnetId })
    attachNetworkInterface(state, { eniId, instanceId, deviceIndex, networkCard: 0 })
    this.foreign.leave(eniId)
  }

  /** Somebody else takes it away again. */
  detachForeign(eniId: string): void {
    this.ec2.detachByHand(eniId)
    this.ec2.state.removeEni(this.ec2.state.eni(eniId))
    this.foreign.forget(eniId)
  }

  terminateInstance(instanceId: string): void {
    this.ec2.terminateInstance(instanceId)
  }

  changeNodeENI(name: string, spec: Partial<NodeENISpec>): void {
    const change = (object: KubeObject) => ({ ...object, spec: { ...(object['spec'] as object), ...spec } })
    this.api.store('nodeenis').update(name, change)
  }

  addPod(name: string, nodeName = 'a1'): Claim {
    return this.#createPod(name, { schedulerName: 'jit-eni', nodeName })
  }

  /** As a pod is while the extender waits for its ENI. */
  addUnboundPod(name: string): Claim {
    return this.#createPod(name, { schedulerName: 'jit-eni' })
  }

  bindPod({ namespace, name }: Claim, nodeName: string): void {
    const bound = (pod: KubeObject) => ({ ...pod, spec: { ...(pod['spec'] as object), nodeName } })
    this.api.store('pods').update(`${namespace}/${name}`, bound)
  }

  #createPod(name: string, spec: object): Claim {
    const pod = this.api.store('pods').create({ metadata: { name, namespace: 'cnf' }, spec })
    return { namespace: 'cnf', name, uid: pod.metadata.uid }
  }

  endPod({ namespace, name }: Claim): void {
    this.api.store('pods').delete(`${namespace}/${name}`)
  }

  /** As the extender does for a pod that needs an ENI. */
  addIntent(name: string, claim: Claim | undefined, spec: Partial<AttachmentSpec> = {}): void {
    const node = { nodeName: 'a1', instanceID: 'i-a1' }
    const intent = { nodeENI: 'upf', resourceName: resource, ...node, ...(claim && { claim }), ...spec }
    this.api.store('eniattachments').create(newAttachment(name, intent) as { metadata: { name: string } })
  }

  /** As the extender does: for the next pod, or for one whose bind failed. */
  setClaim(name: string, claim: Claim | undefined): void {
    this.api.store('eniattachments').update(name, (object) => {
      const { claim: _, ...spec } = object['spec'] as AttachmentSpec
      return { ...object, spec: { ...spec, ...(claim && { claim }) } }
    })
  }

  attachment(name: string): ENIAttachment {
    return (this.api.store('eniattachments').get(name) ??
      assert.fail(`there is no ${name}`)) as unknown as ENIAttachment
  }

  attachments(): ENIAttachment[] {
    return this.api.store('eniattachments').list() as unknown as ENIAttachment[]
  }
}
