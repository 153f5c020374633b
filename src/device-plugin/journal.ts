// What we did to which card, on disk before we do it: a card bound to a userspace driver shows no MAC any more, so after a
// crash only this says whose it is and which driver it had. One file per card, replaced whole.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

import { KeyMutex } from '../process/key-mutex.ts'
import type { Log } from '../process/log.ts'
import { replaceDurably, syncDirectory, unfinishedEnd } from './durable-file.ts'
import type { PciCard } from './pci-scan.ts'

const entrySchema = z.object({
  bootID: z.string().min(1),
  pciAddress: z.string().regex(/^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/),
  inode: z.string().min(1),
  mac: z.string().min(1),
  eniID: z.string(),
  attachment: z.string().min(1),
  attachmentUID: z.string().min(1),
  resourceName: z.string().optional(),
  /** The kernel's driver, to which the card goes back; undefined when it had none. */
  originalDriver: z.string().optional(),
  /** The driver that the card is to have while it is ours. */
  wantedDriver: z.string().min(1),
  /** Of a card that stays with the kernel's driver: see link-plan.ts. Absent in entries of earlier versions. */
  link: z
    .object({
      before: z.object({ mtu: z.int().min(0), isUp: z.boolean() }),
      mtu: z.int().min(0).optional(),
      altName: z.string().min(1).optional(),
    })
    .optional(),
})

/** Valid for one boot and one appearance of the card: addresses and inodes come back after a reboot or a re-plug. */
export type JournalEntry = z.output<typeof entrySchema>

/** The card is another driver's than the kernel's own while it is ours. */
export function isOfUserspace(entry: JournalEntry | undefined): boolean {
  return entry !== undefined && entry.wantedDriver !== entry.originalDriver
}

const suffix = '.json'

export class Journal {
  readonly bootID: string
  readonly #directory: string
  readonly #log: Log
  readonly #entries = new Map<string, JournalEntry>()
  readonly #unreadable = new Set<string>()
  readonly #mutex = new KeyMutex()

  constructor(directory: string, bootID: string, log: Log) {
    this.#directory = directory
    this.bootID = bootID
    this.#log = log
  }

  /** Reads what an earlier process left. Entries of another boot are removed; what cannot be read is left out and named. */
  async load(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    for (const name of await readdir(this.#directory)) {
      if (name.endsWith(`${suffix}${unfinishedEnd}`)) await rm(join(this.#directory, name), { force: true })
      // What is not ours, such as lost+found, is left as it is.
      if (!name.endsWith(suffix)) continue
      const entry = await readEntry(join(this.#directory, name))
      if (entry instanceof Error) {
        this.#unreadable.add(name.slice(0, -suffix.length))
        this.#log.warn({ file: name, err: entry }, 'journal file ignored: it cannot be read')
      } else if (entry === undefined || `${entry.pciAddress}${suffix}` !== name) {
        this.#unreadable.add(name.slice(0, -suffix.length))
        this.#log.warn({ file: name }, 'journal file ignored: it is not a whole entry')
      } else if (entry.bootID === this.bootID) {
        this.#entries.set(entry.pciAddress, entry)
      } else {
        await rm(join(this.#directory, name), { force: true })
      }
    }
  }

  /** PCI addresses of cards that were ours once: there is something of them that cannot be read. */
  get unreadable(): ReadonlySet<string> {
    return this.#unreadable
  }

  /** Whole entries of this boot, for a look at a node on which the plugin may be running: nothing on disk is changed. */
  async peek(): Promise<void> {
    for (const name of await readdir(this.#directory).catch(() => [])) {
      const entry = name.endsWith(suffix) ? await readEntry(join(this.#directory, name)) : undefined
      if (entry === undefined || entry instanceof Error || entry.bootID !== this.bootID) continue
      this.#entries.set(entry.pciAddress, entry)
    }
  }

  /** The entry of this very card: same boot, same address, same appearance. */
  of(card: PciCard): JournalEntry | undefined {
    const entry = this.#entries.get(card.pciAddress)
    return entry?.inode === card.inode ? entry : undefined
  }

  /** Whatever is kept for this attachment, also when its card has vanished. */
  ofAttachment(uid: string): JournalEntry | undefined {
    return this.entries().find(({ attachmentUID }) => attachmentUID === uid)
  }

  entries(): readonly JournalEntry[] {
    return [...this.#entries.values()]
  }

  /** Resolves when the entry is on disk. */
  write(entry: JournalEntry): Promise<void> {
    return this.#mutex.run(this.#directory, async () => {
      await replaceDurably(this.#path(entry.pciAddress), JSON.stringify(entry))
      this.#entries.set(entry.pciAddress, entry)
      this.#unreadable.delete(entry.pciAddress)
    })
  }

  /** Forgets what is kept for this attachment, and nothing that another one has written for the same address since. */
  forget(attachmentUID: string): Promise<void> {
    return this.#mutex.run(this.#directory, async () => {
      for (const entry of this.#entries.values()) {
        if (entry.attachmentUID !== attachmentUID) continue
        await rm(this.#path(entry.pciAddress), { force: true })
        await syncDirectory(this.#directory)
        this.#entries.delete(entry.pciAddress)
      }
    })
  }

  #path(pciAddress: string): string {
    return join(this.#directory, `${pciAddress}${suffix}`)
  }
}

/** An error when the disk does not give the file; undefined when what it gives is no entry. */
async function readEntry(path: string): Promise<JournalEntry | Error | undefined> {
  try {
    return parseEntry(await readFile(path, 'utf8'))
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

function parseEntry(text: string): JournalEntry | undefined {
  try {
    return entrySchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
