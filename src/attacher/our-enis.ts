// The ENIs in EC2 that belong to one ENIAttachment: one, unless a create was cut off.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import { attachmentTag } from '../api/names.ts'
import type { Ec2, Eni } from './ec2.ts'

/**
 * By our tag, which finds a second one too, whose create was cut off; by id as well where somebody took the tag away; and nothing
 * where EC2 was never called. @throws Ec2Error
 */
export async function ourEnis(ec2: Ec2, { metadata, status }: ENIAttachment): Promise<Eni[]> {
  const { eniID, attempt } = status?.eni ?? {}
  if (attempt === undefined) return []
  const tagged = await ec2.describeEnisByTag(attachmentTag, metadata.uid)
  if (eniID === undefined || tagged.some(({ id }) => id === eniID)) return tagged
  return [...tagged, ...(await ec2.describeEnis([eniID]))]
}
