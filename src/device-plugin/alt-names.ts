// Which alternative name the interface of each kernel-bound ENI of this node gets: interfaceName of its NodeENI, or the name of
// the NodeENI. Several ENIs that want one name get <name>, <name>-2, <name>-3, in the order of their device indices; one that takes the place of an ENI on its way out waits for the name of that one.
import { type ENIAttachment, isDeleting } from '../api/eni-attachment.ts'
import { type NodeENI, userspaceDriverOf } from '../api/node-eni.ts'

/** ALTIFNAMSIZ with its terminator (include/uapi/linux/if.h). */
const altNameMaxBytes = 127

/**
 * By UID of the attachment. A name that an interface has been given (`kept`) stays with it while its NodeENI asks for that
 * name, so that no pod's network changes its card when another ENI goes.
 */
export function altNames(
  attachments: readonly ENIAttachment[],
  nodeENIs: ReadonlyMap<string, NodeENI>,
  kept: (attachmentUID: string) => string | undefined,
): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  const leaving = new Set<string>()
  const asking: { readonly uid: string; readonly wanted: string }[] = []
  for (const attachment of attachments.toSorted(byDeviceIndex)) {
    const { uid } = attachment.metadata
    const wanted = wantedName(nodeENIs.get(attachment.spec.nodeENI))
    const has = kept(uid)
    const keeps = has !== undefined && (wanted === undefined || isOf(has, wanted))
    if (keeps) names.set(uid, has)
    if (keeps && isDeleting(attachment)) leaving.add(has)
    if (!keeps && wanted !== undefined && !isDeleting(attachment)) asking.push({ uid, wanted })
  }
  const taken = new Set(names.values())
  const give = (uid: string, name: string) => {
    if (taken.has(name) || !isLegal(name)) return false
    taken.add(name)
    names.set(uid, name)
    return true
  }
  // Who asks for a name plainly comes before those that would get it with a number.
  const later = asking.filter(({ uid, wanted }) => !give(uid, wanted))
  for (const { uid, wanted } of later) {
    if (leaving.has(wanted)) continue
    for (let number = 2; number <= attachments.length + 1; number++) if (give(uid, `${wanted}-${number}`)) break
  }
  return names
}

function wantedName(nodeENI: NodeENI | undefined): string | undefined {
  if (nodeENI === undefined || userspaceDriverOf(nodeENI.spec) !== undefined) return undefined
  const name = nodeENI.spec.interfaceName ?? nodeENI.metadata.name
  return isLegal(name) ? name : undefined
}

function isOf(name: string, wanted: string): boolean {
  return name === wanted || (name.startsWith(`${wanted}-`) && /^[0-9]+$/.test(name.slice(wanted.length + 1)))
}

/** dev_valid_name() refuses the two names of directories; iproute2 reads "if7" as the interface with index 7. */
function isLegal(name: string): boolean {
  return Buffer.byteLength(name) <= altNameMaxBytes && !/^(\.{1,2}|if[0-9]+)$/.test(name)
}

/** As the attacher plans it before the card is there, so the order does not depend on which card comes first. */
function byDeviceIndex(a: ENIAttachment, b: ENIAttachment): number {
  const [indexA, indexB] = [a, b].map(({ status }) => {
    const { networkCard = 0, deviceIndex = Number.MAX_SAFE_INTEGER } = status?.eni ?? {}
    return [networkCard, deviceIndex] as const
  }) as [readonly [number, number], readonly [number, number]]
  return indexA[0] - indexB[0] || indexA[1] - indexB[1] || (a.metadata.name < b.metadata.name ? -1 : 1)
}
