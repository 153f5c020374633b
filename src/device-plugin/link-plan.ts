// What is changed on the interface of a kernel-bound ENI, and what is put back at its release: decided from what is there.
import type { HostLink, LinkChange } from './host-links.ts'

export interface WantedLink {
  /** undefined: the driver's. */
  readonly mtu: number | undefined
  readonly altName: string | undefined
}

/** Kept in the journal: what the interface was before us, and what of it is ours. */
export interface LinkRecord {
  readonly before: { readonly mtu: number; readonly isUp: boolean }
  /** That we set. */
  readonly mtu?: number | undefined
  /** That we added. */
  readonly altName?: string | undefined
}

/** From what is there to what is wanted; empty when all is well. */
export function linkChanges(wanted: WantedLink, link: HostLink, record: LinkRecord | undefined): readonly LinkChange[] {
  const changes: LinkChange[] = []
  const old = record?.altName
  if (old !== undefined && old !== wanted.altName && link.altNames.includes(old)) {
    changes.push({ kind: 'remove-alt-name', altName: old })
  }
  // Without an mtu in the NodeENI any is good, but one that we have set is not the driver's.
  const mtu = wanted.mtu ?? (record?.mtu === undefined ? link.mtu : record.before.mtu)
  if (mtu !== link.mtu) changes.push({ kind: 'set-mtu', mtu })
  const { altName } = wanted
  if (altName !== undefined && !hasName(link, altName)) changes.push({ kind: 'add-alt-name', altName })
  if (!link.isUp) changes.push({ kind: 'up' })
  return changes
}

/** What the journal must say before `linkChanges` are made. */
export function recordOf(wanted: WantedLink, link: HostLink, record: LinkRecord | undefined): LinkRecord {
  const isNameOurs = wanted.altName === record?.altName || !hasName(link, wanted.altName)
  return {
    before: record?.before ?? { mtu: link.mtu, isUp: link.isUp },
    ...(wanted.mtu !== undefined && { mtu: wanted.mtu }),
    ...(wanted.altName !== undefined && isNameOurs && { altName: wanted.altName }),
  }
}

/** Whether a record says already what is wanted: then it is somebody else who has changed the interface. */
export function isRecorded(wanted: WantedLink, link: HostLink, record: LinkRecord | undefined): boolean {
  if (record === undefined) return false
  const next = recordOf(wanted, link, record)
  return next.mtu === record.mtu && next.altName === record.altName
}

/** Back to how it was before us; what is not ours stays as it is. */
export function restoration(link: HostLink, { before, mtu, altName }: LinkRecord): readonly LinkChange[] {
  const changes: LinkChange[] = []
  if (altName !== undefined && link.altNames.includes(altName)) changes.push({ kind: 'remove-alt-name', altName })
  if (mtu !== undefined && link.mtu !== before.mtu) changes.push({ kind: 'set-mtu', mtu: before.mtu })
  if (!before.isUp && link.isUp) changes.push({ kind: 'down' })
  return changes
}

function hasName(link: HostLink, name: string | undefined): boolean {
  return name !== undefined && (link.name === name || link.altNames.includes(name))
}
