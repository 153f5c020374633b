// Who should have which claim: a claim reserves one device of (node, resource), the kubelet picks any healthy one, so claims
// follow the real holders. Pure: attachments of one (node, resource) in, changes out.
import { type Claim, type ENIAttachment, isDeleting, terminalFailure } from '../api/eni-attachment.ts'

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
  const owed = owedDevices(attachments, holders, isAlive)
  const takeOwed = (claim: Claim | undefined): boolean => {
    const left = owed.get(claim?.uid ?? '')
    if (left === undefined || left.count <= 0) return false
    left.count--
    return true
  }
  const isHeld = ({ status }: ENIAttachment) => status?.device?.inUseBy !== undefined
  // A device whose holder is not known keeps its claim.
  const kept = attachments.filter((one) => holders.get(one) === undefined && isHeld(one) && takeOwed(one.spec.claim))
  const spare = attachments.filter((one) => !isHeld(one) && !takeOwed(one.spec.claim))
  const displaced = [...owed.values()].flatMap(({ claim, count }) =>
    Array.from({ length: Math.max(0, count) }, () => claim),
  )
  const changes: ClaimChange[] = []
  for (const attachment of spare) {
    const next = isUsable(attachment) ? displaced.shift() : undefined
    if (attachment.spec.claim !== undefined || next !== undefined) changes.push({ attachment, claim: next })
  }
  for (const [attachment, holder] of holders) {
    const { claim } = attachment.spec
    if (holder !== undefined) {
      if (claim?.uid !== holder.uid) changes.push({ attachment, claim: holder })
    } else if (isHeld(attachment) && claim !== undefined && !kept.includes(attachment)) {
      changes.push({ attachment, claim: undefined })
    }
  }
  return changes
}

/** How many devices each living pod has claimed beyond those that it holds. */
function owedDevices(
  attachments: readonly ENIAttachment[],
  holders: ReadonlyMap<ENIAttachment, Claim | undefined>,
  isAlive: (claim: Claim) => boolean,
): Map<string, { readonly claim: Claim; count: number }> {
  const owed = new Map<string, { readonly claim: Claim; count: number }>()
  for (const { spec } of attachments) {
    if (spec.claim === undefined || !isAlive(spec.claim)) continue
    const known = owed.get(spec.claim.uid)
    if (known === undefined) owed.set(spec.claim.uid, { claim: spec.claim, count: 1 })
    else known.count++
  }
  for (const holder of holders.values()) {
    const known = owed.get(holder?.uid ?? '')
    if (known !== undefined) known.count--
  }
  return owed
}

/** What is being released, or will be, is no use to a pod that waits. */
function isUsable(attachment: ENIAttachment): boolean {
  return !isDeleting(attachment) && terminalFailure(attachment) === undefined
}
