// Who should have which claim: a claim reserves one device of (node, resource), the kubelet picks any healthy one, so claims
// follow the real holders. Pure: attachments of one (node, resource) in, changes out.
import { type Claim, type ENIAttachment } from '../api/eni-attachment.ts'

export interface ClaimChange {
  readonly attachment: ENIAttachment
  readonly claim: Claim | undefined
}

/**
 * @param holderOf the pod that holds the device, by what the device plugin saw; undefined when nobody does or it is not known
 * @param isAlive whether the claim's pod still exists and has not ended
 * @returns changes in the order in which to write them: who waits gets the other device before the holder takes his away, so
 *   that no waiting pod is ever without a claim
 */
export function planClaims(
  attachments: readonly ENIAttachment[],
  holderOf: (attachment: ENIAttachment) => Claim | undefined,
  isAlive: (claim: Claim) => boolean,
): ClaimChange[] {
  const holders = new Map(attachments.map((attachment) => [attachment, holderOf(attachment)]))
  const holding = new Set([...holders.values()].map((holder) => holder?.uid))
  const isHeld = (attachment: ENIAttachment) => attachment.status?.device?.inUseBy !== undefined
  // Pods that wait with a claim on a device that another pod holds.
  const displaced = attachments
    .filter((attachment) => {
      const holder = holders.get(attachment)
      return holder !== undefined && attachment.spec.claim !== undefined && attachment.spec.claim.uid !== holder.uid
    })
    .map(({ spec }) => spec.claim)
    .filter((claim) => claim !== undefined && isAlive(claim) && !holding.has(claim.uid))
  const changes: ClaimChange[] = []
  for (const attachment of attachments.filter((candidate) => !isHeld(candidate))) {
    const { claim } = attachment.spec
    const keeps = claim !== undefined && isAlive(claim) && !claimIsSpent(claim, attachments, holders)
    if (keeps) continue
    const next = displaced.shift()
    if (claim !== undefined || next !== undefined) changes.push({ attachment, claim: next })
  }
  for (const [attachment, holder] of holders) {
    const { claim } = attachment.spec
    if (holder !== undefined) {
      if (claim?.uid !== holder.uid) changes.push({ attachment, claim: holder })
    } else if (isHeld(attachment) && claim !== undefined && !isAlive(claim)) {
      changes.push({ attachment, claim: undefined })
    }
  }
  return changes
}

/** The pod got its devices elsewhere: it holds as many as it had claimed, among them one that it had not. */
function claimIsSpent(
  claim: Claim,
  attachments: readonly ENIAttachment[],
  holders: ReadonlyMap<ENIAttachment, Claim | undefined>,
): boolean {
  const claimed = attachments.filter(({ spec }) => spec.claim?.uid === claim.uid).length
  const held = attachments.filter((attachment) => holders.get(attachment)?.uid === claim.uid).length
  return held >= claimed
}
