// A child process that does nothing but write to sysfs control files, one list of writes per request. It can block for ever
// in the kernel (unbind of a card in use) without stopping the device plugin, which control-writes.ts guards it for.
import { closeSync, constants, openSync, readFileSync, statSync, writeSync } from 'node:fs'

export interface ControlWrite {
  readonly path: string
  readonly value: string
}

/** One appearance of a card: the next one at the same PCI address has another inode. */
export interface CardAppearance {
  /** Its directory in sysfs. */
  readonly directory: string
  readonly inode: string
}

export interface WriteRequest {
  readonly id: number
  readonly card: CardAppearance
  readonly writes: readonly ControlWrite[]
}

/** First that the writes begin, then what became of them. */
export type WriteAnswer =
  | { readonly id: number; readonly begun: true }
  | { readonly id: number; readonly begun?: never; readonly refused?: WriteRefusal }

export interface WriteRefusal {
  readonly path: string
  /** errno name, such as ENODEV, or in words what is wrong. */
  readonly code: string
  /** Not tried: it would not have returned before a process closes the card. */
  readonly isInUse?: true
}

/** Control files name a card by its PCI address; since the scan another card, of somebody else, may have come there. */
function replaced({ directory, inode }: CardAppearance): WriteRefusal | undefined {
  const now = statSync(directory, { bigint: true, throwIfNoEntry: false })
  if (now === undefined) return { path: directory, code: 'ENODEV' }
  return String(now.ino) === inode ? undefined : { path: directory, code: 'another card is there now' }
}

/**
 * An unbind from vfio-pci does not return while a process has the card open, and only then the card is enabled. Asked here, with
 * nothing between the question and the write.
 */
function wouldWait({ directory }: CardAppearance, path: string): boolean {
  if (!path.endsWith('/drivers/vfio-pci/unbind')) return false
  return Number.parseInt(readFileSync(`${directory}/enable`, 'utf8'), 10) > 0
}

/** Stops at the first write that the kernel refuses. */
function writeAll(card: CardAppearance, writes: readonly ControlWrite[]): WriteRefusal | undefined {
  for (const { path, value } of writes) {
    try {
      if (wouldWait(card, path)) return { path, code: 'a process has the card open', isInUse: true }
      // bind, unbind and drivers_probe are write-only: "r+" is EACCES even for root.
      const file = openSync(path, constants.O_WRONLY)
      try {
        writeSync(file, value)
      } finally {
        closeSync(file)
      }
    } catch (error) {
      return { path, code: (error as NodeJS.ErrnoException).code ?? String(error) }
    }
  }
  return undefined
}

function tell(answer: WriteAnswer): void {
  // A parent that has gone meanwhile needs no answer.
  process.send?.(answer, () => undefined)
}

process.on('message', ({ id, card, writes }: WriteRequest) => {
  // Written to the channel before the call returns, and so before a write that blocks.
  tell({ id, begun: true })
  const refused = replaced(card) ?? writeAll(card, writes)
  tell({ id, ...(refused && { refused }) })
})
process.on('disconnect', () => process.exit(0))
// The parent says when it is over; a signal to the process group must not end a write half way.
for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => undefined)
