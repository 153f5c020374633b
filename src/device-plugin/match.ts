// Which card belongs to which ENIAttachment. Identity is the MAC; a card that shows none is known by its journal entry.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import type { JournalEntry } from './journal.ts'
import type { PciCard } from './pci-scan.ts'

export interface KnownCard extends PciCard {
  /** The journal's entry of this very card, if there is one. */
  readonly entry: JournalEntry | undefined
}

export type Match =
  | { readonly kind: 'absent' }
  | { readonly kind: 'found'; readonly card: KnownCard }
  /** Neither MAC nor journal says so, and yet there is no doubt (recovery.ts). */
  | { readonly kind: 'recovered'; readonly card: KnownCard; readonly kernelDriver: string | undefined }
  /** The card at this address may be the attachment's, and nothing proves it. */
  | { readonly kind: 'unidentified'; readonly pciAddress: string }
  /** Several cards show the MAC, or several attachments name it: none of them is touched. */
  | { readonly kind: 'ambiguous'; readonly pciAddresses: readonly string[] }

const absent: Match = { kind: 'absent' }

/** By UID of the attachment. A card that no attachment names is in no match, so nothing is ever done to it. */
export function match(cards: readonly KnownCard[], attachments: readonly ENIAttachment[]): ReadonlyMap<string, Match> {
  const named = Map.groupBy(attachments, macOf)
  return new Map(
    attachments.map((attachment) => {
      const mac = macOf(attachment)
      if (mac === undefined) return [attachment.metadata.uid, absent]
      const candidates = cards.filter((card) => showsOrKeeps(card, mac, attachment.metadata.uid))
      return [attachment.metadata.uid, verdict(candidates, named.get(mac)?.length ?? 0)]
    }),
  )
}

export function macOf(attachment: ENIAttachment): string | undefined {
  return attachment.status?.eni?.mac?.toLowerCase()
}

/** What a card shows counts more than what the journal says of it. */
function showsOrKeeps({ interfaces, entry }: KnownCard, mac: string, uid: string): boolean {
  if (interfaces.length > 0) return interfaces.some((seen) => seen.mac === mac)
  return entry !== undefined && entry.mac === mac && entry.attachmentUID === uid
}

function verdict(candidates: readonly KnownCard[], attachmentsWithMac: number): Match {
  const [card] = candidates
  if (card === undefined) return absent
  if (candidates.length === 1 && attachmentsWithMac === 1) return { kind: 'found', card }
  return { kind: 'ambiguous', pciAddresses: candidates.map(({ pciAddress }) => pciAddress) }
}
