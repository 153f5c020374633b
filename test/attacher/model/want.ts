// Who still wants something once all is well again, though it could be had: NodeENIs that lack ENIs ahead of pods, and pods.
import { podDemand, type ResourceAsker } from '../../../src/api/pod-demand.ts'
import { attachPolicyOf, isReady, type NodeENI, selectsNode } from '../../../src/api/node-eni.ts'
import { aheadOfPods } from '../../../src/attacher/ahead-of-pods.ts'
import { planEni } from '../../../src/attacher/eni-plan.ts'
import { addressesOf } from '../../../src/attacher/network.ts'
import type { NodeFacts } from '../../../src/kube/objects.ts'
import type { KubeObject } from '../../kube-api/resources.ts'
import { foreverMs, nodeENIsOf } from './in-the-end.ts'
import { hasEnded, nodeOf } from './kubelet.ts'
import type { Trial } from './trial.ts'
import type { Truth } from './truth.ts'
import { resources } from './world.ts'

export function wanting(trial: Trial, truth: Truth): string[] {
  const lacks = lacking(trial, truth)
  const full = new Set(lacks.filter(({ hasRoom }) => !hasRoom).map(({ node }) => node))
  return [
    ...lacks
      .filter(({ hasRoom }) => hasRoom)
      .map(({ nodeENI, node, missing }) => `NodeENI ${nodeENI} lacks ${missing} ENIs on ${node}, though there is room`),
    ...nodeENIsOf(trial).flatMap((nodeENI) => untold(nodeENI, lacks)),
    ...trial.pods().flatMap((pod) => pending(trial, pod, full)),
  ]
}

/** Its condition Complete says that nodes lack ENIs, and that none does. */
function untold(nodeENI: NodeENI, lacks: readonly Lack[]): string[] {
  const { metadata, status } = nodeENI
  const complete = status?.conditions?.find(({ type }) => type === 'Complete')
  if (!isReady(nodeENI) || complete === undefined || metadata.deletionTimestamp !== undefined) return []
  const expected = lacks.some((lack) => lack.nodeENI === metadata.name) ? 'False' : 'True'
  return complete.status === expected
    ? []
    : [`NodeENI ${metadata.name} is Complete=${complete.status} (${complete.message}), and should be ${expected}`]
}

interface Lack {
  readonly nodeENI: string
  readonly node: string
  readonly missing: number
  readonly hasRoom: boolean
}

export function lacking(trial: Trial, truth: Truth): Lack[] {
  return nodeENIsOf(trial).flatMap((nodeENI) =>
    truth.nodes.flatMap((node) => {
      const lack = lackOn(trial, nodeENI, node, truth)
      return lack === undefined || lack.missing === 0 ? [] : [lack]
    }),
  )
}

function lackOn(trial: Trial, nodeENI: NodeENI, node: NodeFacts, truth: Truth): Lack | undefined {
  const { metadata, spec } = nodeENI
  const instance = truth.inventory.instance(node.instanceID ?? '')
  const type = instance && truth.inventory.typeOf(instance)
  if (instance === undefined || type === undefined || instance.state !== 'running') return undefined
  if (!isReady(nodeENI) || metadata.deletionTimestamp !== undefined || !selectsNode(spec, node.labels)) return undefined
  if (attachPolicyOf(spec) === 'JustInTime' && spec.warm === 0) return undefined
  const siblings = trial.lab.scene.attachments().filter((one) => one.spec.instanceID === instance.id)
  const mine = siblings.filter((one) => one.spec.nodeENI === metadata.name)
  const subnets = truth.subnets.filter(({ id }) => spec.subnetIDs?.includes(id))
  const withRoom = subnets.filter(({ freeAddresses }) => freeAddresses >= addressesOf(nodeENI))
  const missing = aheadOfPods(nodeENI, node, { subnets, securityGroupIDs: [] }, mine).length
  const plan = planEni({ nodeENI, instance, type, subnets: withRoom, siblings, policy: truth.policy })
  return { nodeENI: metadata.name, node: node.name, missing, hasRoom: !('reason' in plan) }
}

function pending(trial: Trial, pod: KubeObject, full: ReadonlySet<string>): string[] {
  const ageMs = trial.lab.clock.now() - Date.parse(pod.metadata.creationTimestamp ?? '')
  if (nodeOf(pod) !== undefined || hasEnded(pod) || ageMs < foreverMs || !hasAddresses(trial, pod)) return []
  const nodes = trial.extender.nodesFor(pod).filter((name) => !full.has(name))
  return nodes.length === 0 ? [] : [`pod ${pod.metadata.name} is not bound, though ${nodes.join(', ')} could have it`]
}

/** All subnets that may serve it. The extender knows of each only whether it has room for one ENI. */
function hasAddresses(trial: Trial, pod: KubeObject): boolean {
  const { state } = trial.lab.ec2
  return [...podDemand(pod as ResourceAsker, new Set(resources))].every(([resource, count]) =>
    nodeENIsOf(trial)
      .filter(({ spec }) => spec.dpdkResourceName === resource)
      .every((nodeENI) =>
        (nodeENI.spec.subnetIDs ?? []).every((id) => state.subnet(id).addresses.free >= count * addressesOf(nodeENI)),
      ),
  )
}
