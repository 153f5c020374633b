// A cluster at rest in the attacher's lab (the real controllers and the real SDK on virtual time), and the pods that come to it.
//
// Stood in for: the extender (an intent or a claim for each pod is there at once, its node chosen in turn), the device plugin and
// the kubelet (a pod is bound as soon as EC2 has put its card into the guest). These, and Kubernetes itself, take no time here:
// `make bench` measures them. So all time that passes is EC2's, or the attacher's waiting.
import type { Ec2Options } from '../../sim/ec2/new-ec2.ts'
import type { Call } from '../../sim/ec2/wire/call-log.ts'
import { type Claim, type ENIAttachment, isIdle } from '../../src/api/eni-attachment.ts'
import type { NodeENISpec } from '../../src/api/node-eni.ts'
import { resource } from '../../test/attacher/attacher-world.ts'
import { Lab, type LabOptions } from '../../test/attacher/lab/lab.ts'
import type { Change } from '../../test/kube-api/object-store.ts'
import type { KubeObject } from '../../test/kube-api/resources.ts'
import { accountOf, eniSubnets, nodeName, securityGroup } from './account.ts'
import { attachMs, delaysWithAttach } from './timing.ts'

/** By then the start is over, and what was described at the start is too old to make ENIs with. */
const restMs = 5 * 60_000
const limitMs = 60 * 60_000

export interface ClusterOptions {
  readonly nodes: number
  readonly ec2: Partial<Ec2Options>
  readonly limits?: LabOptions['limits']
  readonly nodeENI?: Partial<NodeENISpec>
}

export class RestedCluster {
  readonly lab: Lab
  readonly #nodes: number
  #pods = 0
  #bound = 0
  #last: readonly Claim[] = []

  private constructor({ nodes, ec2, limits, nodeENI }: ClusterOptions) {
    this.#nodes = nodes
    this.lab = new Lab({
      ec2: { world: accountOf(nodes), delays: delaysWithAttach(attachMs), ...ec2 },
      cards: 'in the guest',
      watchfulness: 'only the end',
      ...(limits && { limits }),
    })
    const { scene, api } = this.lab
    api.store('pods').onChange((change) => void (this.#bound += isBinding(change) ? 1 : 0))
    for (let i = 0; i < nodes; i++) scene.addNode(nodeName(i))
    const network = { subnetIDs: eniSubnets, securityGroupIDs: [securityGroup] }
    scene.addNodeENI('upf', { dpdkResourceName: resource, ...network, ...nodeENI })
  }

  static async start(options: ClusterOptions): Promise<RestedCluster> {
    const cluster = new RestedCluster(options)
    cluster.lab.startAttacher()
    await cluster.lab.clock.advance(restMs)
    return cluster
  }

  get calls(): readonly Call[] {
    return [...this.lab.ec2.calls]
  }

  /** Pods that need a new ENI each, in the same instant. */
  askForNew(pods: number): void {
    this.#ask(pods, (claim, i) => {
      const node = nodeName(i % this.#nodes)
      this.lab.scene.addIntent(`upf-${i}`, claim, { nodeName: node, instanceID: `i-${node}` })
    })
  }

  /** As many pods as there are ENIs, which are idle: each takes one, in the same instant. */
  askForIdle(): void {
    const names = this.#attachments.map(({ metadata }) => metadata.name)
    this.#ask(names.length, (claim, i) => this.lab.scene.setClaim(names[i] ?? '', claim))
  }

  /** Answers how many seconds passed until the last of the pods is bound. */
  untilBound(): Promise<number> {
    return this.#until(() => this.#bound === this.#pods)
  }

  /** And until the attacher has done all that it does for a new ENI. */
  untilAttached(): Promise<number> {
    return this.#until(() => this.#attachments.every(({ status }) => status?.eni?.attached === true))
  }

  async endPods(): Promise<void> {
    for (const pod of this.#last) this.lab.scene.endPod(pod)
    await this.#until(() => this.#attachments.every((one) => isIdle(one) && one.status?.eni?.idleSince !== undefined))
  }

  /** What of the invariants is broken now. */
  end(): readonly string[] {
    this.lab.checkEnd()
    this.lab.stopAttacher()
    return [...this.lab.violations]
  }

  get #attachments(): readonly ENIAttachment[] {
    return this.lab.scene.attachments()
  }

  /** The calls of before are history. */
  #ask(pods: number, serve: (claim: Claim, i: number) => void): void {
    this.lab.ec2.calls.clear()
    this.#bound = 0
    this.#pods = pods
    this.#last = Array.from({ length: pods }, (_, i) => this.lab.scene.addUnboundPod(`upf-${i}`))
    this.#last.forEach(serve)
  }

  async #until(isSo: () => boolean): Promise<number> {
    const { clock } = this.lab
    const startedAt = clock.monotonic()
    await clock.until(isSo, limitMs)
    return (clock.monotonic() - startedAt) / 1000
  }
}

function isBinding({ object, before }: Change): boolean {
  return before !== undefined && nodeOf(before) === undefined && nodeOf(object) !== undefined
}

function nodeOf(pod: KubeObject): string | undefined {
  return (pod['spec'] as { readonly nodeName?: string }).nodeName
}
