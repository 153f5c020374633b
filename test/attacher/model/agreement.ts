// Objects, annotations and EC2 must say the same once all is well again: what an object says of its ENI, a NodeENI of its ENIs and
// subnets, a node of its room, and an ENI of what its NodeENI wants.
import { type ENIAttachment, isDeleting, terminalFailure } from '../../../src/api/eni-attachment.ts'
import { isReady, type NodeENI, selectsNode } from '../../../src/api/node-eni.ts'
import { changesFor } from '../../../src/attacher/eni-drift.ts'
import { addressesOf } from '../../../src/attacher/network.ts'
import type { NodeFacts } from '../../../src/kube/objects.ts'
import { clusterName, differs, misplaced } from '../lab/invariants.ts'
import { nodeENIsOf } from './in-the-end.ts'
import type { Trial } from './trial.ts'
import type { Truth } from './truth.ts'

export function disagreements(trial: Trial, truth: Truth): string[] {
  const attachments = trial.lab.scene.attachments()
  // What has failed for good, or goes when its pod has ended, is not put right any more.
  const live = attachments.filter((one) => !isDeleting(one) && terminalFailure(one) === undefined)
  return [
    ...live.flatMap((attachment) => misplaced(trial.lab.scene, attachment)),
    ...live.flatMap((attachment) => attributesOf(trial, attachment, truth)),
    ...nodeENIsOf(trial).flatMap((nodeENI) => countsOf(nodeENI, live)),
    ...nodeENIsOf(trial).flatMap((nodeENI) => subnetsOf(nodeENI, truth)),
    ...truth.nodes.flatMap((node) => roomOf(trial, node, truth)),
  ]
}

function attributesOf(trial: Trial, attachment: ENIAttachment, { enis }: Truth): string[] {
  const { metadata, spec, status } = attachment
  const nodeENI = nodeENIsOf(trial).find((one) => one.metadata.name === spec.nodeENI)
  const eni = enis.get(status?.eni?.eniID ?? '')
  if (status?.eni?.attached !== true || nodeENI === undefined || eni === undefined) return []
  const network = isReady(nodeENI) ? { subnets: [], securityGroupIDs: nodeENI.spec.securityGroupIDs ?? [] } : undefined
  const changes = changesFor(eni, attachment, nodeENI, network, clusterName)
  const attributes = changes.map(({ attribute }) => attribute).join(', ')
  return changes.length === 0 ? [] : [`${eni.id} of ${metadata.name} has other ${attributes} than its NodeENI says`]
}

function countsOf({ metadata, status }: NodeENI, live: readonly ENIAttachment[]): string[] {
  if (metadata.deletionTimestamp !== undefined) return []
  const mine = live.filter(({ spec }) => spec.nodeENI === metadata.name)
  const count = (is: (status: NonNullable<ENIAttachment['status']>) => boolean) =>
    mine.filter((one) => one.status !== undefined && is(one.status)).length
  const { attached, ready, inUse, observedGeneration } = status ?? {}
  return differs(
    `NodeENI ${metadata.name} (attached, ready, in use, generation)`,
    [attached, ready, inUse, observedGeneration],
    [
      count(({ eni }) => eni?.attached === true),
      count(({ device }) => device?.advertised === true),
      count(({ device }) => device?.inUseBy !== undefined),
      metadata.generation,
    ],
  )
}

/** That addresses are free again is seen within ten minutes (network.ts, restingMs), and not looked at here. */
function subnetsOf(nodeENI: NodeENI, { subnets }: Truth): string[] {
  return (nodeENI.status?.subnets ?? []).flatMap(({ subnetID, exhausted }) => {
    const free = subnets.find(({ id }) => id === subnetID)?.freeAddresses ?? 0
    if (exhausted || free >= addressesOf(nodeENI)) return []
    return [`NodeENI ${nodeENI.metadata.name} does not say that ${subnetID} is exhausted, which has ${free} addresses`]
  })
}

function roomOf(trial: Trial, { name, instanceID = '', labels, capacity }: NodeFacts, { inventory }: Truth): string[] {
  const ours = new Set(trial.lab.scene.attachments().flatMap(({ status }) => status?.eni?.eniID ?? []))
  const { refused: _, ...said } = capacity ?? {}
  const isSo = inventory.capacityOf(instanceID, ours)
  const isWanted = nodeENIsOf(trial).some(({ spec }) => selectsNode(spec, labels))
  return isWanted && isSo !== undefined ? differs(`node ${name}`, said, isSo) : []
}
