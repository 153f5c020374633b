// The ENIs in EC2 that belong to one ENIAttachment: one, unless a create was cut off.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import type { Eni } from './ec2.ts'
import type { EniWatch, Look } from './eni-watch.ts'

/** One try to make an ENI for it: that the ENI of one is gone says nothing of the next. */
export function tryOf({ metadata, status }: ENIAttachment): string {
  return `${metadata.uid}/${status?.eni?.attempt}`
}

/**
 * By our tag, which finds a second one too, whose create was cut off; by id as well where somebody took the tag away; and nothing
 * where EC2 was never called. @throws Ec2Error
 */
export async function ourEnis(watch: EniWatch, { status }: ENIAttachment, look: Look): Promise<readonly Eni[]> {
  const { eniID, attempt } = status?.eni ?? {}
  if (attempt === undefined) return []
  const tagged = await watch.owned(look)
  if (eniID === undefined || tagged.some(({ id }) => id === eniID)) return tagged
  const untagged = await watch.next(eniID, look)
  return untagged === undefined ? tagged : [...tagged, untagged]
}
