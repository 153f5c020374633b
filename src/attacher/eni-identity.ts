// By what an ENI in EC2 can be known as ours, and to whom of us it belongs.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import { attachmentTag, clusterTag, nodeENITag, noManageTag } from '../api/names.ts'
import type { NodeENI } from '../api/node-eni.ts'

/** A tag value of EC2. */
const tagValueMax = 256

export function eniTags(
  { metadata, spec }: ENIAttachment,
  nodeENI: NodeENI,
  clusterName: string,
): ReadonlyMap<string, string> {
  return new Map([
    ['Name', `${spec.nodeENI}/${spec.nodeName}`.slice(0, tagValueMax)],
    ...Object.entries(nodeENI.spec.tags ?? {}),
    [noManageTag, 'true'],
    [clusterTag, clusterName],
    [attachmentTag, metadata.uid],
    [nodeENITag, spec.nodeENI],
  ])
}

export function eniDescription({ metadata }: ENIAttachment, { spec }: NodeENI): string {
  return spec.description ?? `jit-eni ${metadata.name}`
}
