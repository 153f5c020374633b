// Sees an installation from its start, as nobody inside does: EC2, the API server and its audit log, the kubelets, the PCI buses.
import type { V1Pod } from '@kubernetes/client-node'
import { BindingTimes } from '../../sim/cluster/binding-times.ts'
import { snapshot } from '../../sim/ec2/state/network-interface.ts'
import type { Installation } from '../../sim/installation/installation.ts'
import { managedResources } from '../../sim/installation/manifests.ts'
import type { Observer } from '../../sim/installation/observer.ts'
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import { podDemand } from '../../src/api/pod-demand.ts'
import { podsPath } from '../../src/kube/resource.ts'
import { heldDevices } from './kubelet-devices.ts'
import type { Acknowledgement, Picture, PicturedENI, PicturedNode, PicturedPod } from './picture.ts'

const managed = new Set(managedResources())

export class Witness {
  readonly #installation: Installation
  readonly #observer: Observer
  readonly #bindings: BindingTimes
  readonly #foreign: PicturedENI[]
  readonly #acknowledgements = new Map<string, Acknowledgement>()

  /** Before the first NodeENI, so that everything that follows is seen. */
  constructor(installation: Installation, observer: Observer) {
    this.#installation = installation
    this.#observer = observer
    this.#bindings = new BindingTimes(installation.cluster.auditLog)
    this.#foreign = installation.primaryEnis.map((eniId) => snapshot(installation.ec2.state.eni(eniId)))
    observer.attachments.onChange((_name, attachment) => {
      if (attachment !== undefined) this.#note(attachment)
    })
  }

  /** An ENI that was not there at the start and is not ours either. */
  leaveAlone(eniId: string): void {
    this.#foreign.push(snapshot(this.#installation.ec2.state.eni(eniId)))
  }

  async picture(): Promise<Picture> {
    const { nodes, ec2 } = this.#installation
    const held = await Promise.all(nodes.map(({ name, podResourcesSocket }) => heldDevices(name, podResourcesSocket)))
    const pods = await this.#pods()
    const withCards = await Promise.all(nodes.map(async (node) => ({ name: node.name, cards: await node.cards() })))
    // From here on nothing is awaited, so that the objects and EC2 are of one moment.
    return {
      pods,
      held: held.flat().filter(({ resource }) => managed.has(resource)),
      nodeENIs: [...this.#observer.nodeENIs.values()],
      attachments: this.#observer.allAttachments(),
      acknowledgements: [...this.#acknowledgements.values()],
      nodes: withCards.map(({ name, cards }) => this.#node(name, cards)),
      enis: ec2.state.enis().map(snapshot),
      foreign: this.#foreign,
      refusedAttaches: ec2.calls
        .of('AttachNetworkInterface')
        .filter(({ error }) => error === 'AttachmentLimitExceeded')
        .map(({ parameters }) => parameters['InstanceId'] ?? ''),
    }
  }

  /** The first time counts: a device plugin that starts again may have to acknowledge a claim once more. */
  #note({ metadata, spec, status }: ENIAttachment): void {
    const { acknowledged, acknowledgedTime } = status?.device ?? {}
    if (acknowledged === undefined || acknowledgedTime === undefined || spec.resourceName === undefined) return
    const key = `${metadata.uid} ${acknowledged}`
    if (this.#acknowledgements.has(key)) return
    this.#acknowledgements.set(key, {
      attachment: metadata.uid,
      resource: spec.resourceName,
      podUID: acknowledged,
      at: Date.parse(acknowledgedTime),
    })
  }

  async #pods(): Promise<PicturedPod[]> {
    const { items } = await this.#observer.api.request<{ readonly items: readonly V1Pod[] }>('GET', podsPath)
    return Promise.all(items.filter((pod) => podDemand(pod, managed).size > 0).map((pod) => this.#pod(pod)))
  }

  async #pod(pod: V1Pod): Promise<PicturedPod> {
    const { namespace = '', name = '', uid = '' } = pod.metadata ?? {}
    const nodeName = pod.spec?.nodeName
    return {
      name: `${namespace}/${name}`,
      uid,
      phase: pod.status?.phase ?? '',
      demand: podDemand(pod, managed),
      binding: nodeName === undefined ? undefined : { nodeName, receivedAt: await this.#bindings.receivedFor(uid) },
    }
  }

  #node(name: string, cards: PicturedNode['cards']): PicturedNode {
    const instanceID = this.#installation.instanceId(name)
    return {
      name,
      instanceID,
      cardLimits: this.#installation.ec2.state.instance(instanceID).limits.cards,
      cards,
    }
  }
}
