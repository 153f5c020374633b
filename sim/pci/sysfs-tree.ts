// Directories, files and links of a sysfs-like tree, each of which appears and disappears in one step, as the kernel's do.
import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'

/** A symbolic link; `link` is the absolute path of its target. Stored relative, so that the tree can be bind-mounted elsewhere. */
export interface Link {
  readonly link: string
}

export type Entries = Readonly<Record<string, string | Link>>

export class SysfsTree {
  readonly root: string
  readonly #building: string
  readonly #gone: string
  #serial = 0

  constructor(root: string) {
    this.root = root
    this.#building = join(root, '.building')
    this.#gone = join(root, '.gone')
    mkdirSync(this.#building, { recursive: true })
    mkdirSync(this.#gone, { recursive: true })
  }

  at(...parts: readonly string[]): string {
    return join(this.root, ...parts)
  }

  makeDirectory(path: string): void {
    mkdirSync(path, { recursive: true })
  }

  /** A directory that appears complete: built aside, then renamed. Its parent must exist. */
  placeDirectory(path: string, entries: Entries): void {
    const building = join(this.#building, String(this.#serial++))
    mkdirSync(building)
    for (const [name, entry] of Object.entries(entries)) {
      if (typeof entry === 'string') writeFileSync(join(building, name), entry)
      else symlinkSync(textOfLink(path, entry.link), join(building, name))
    }
    renameSync(building, path)
  }

  link(path: string, target: string): void {
    symlinkSync(textOfLink(dirname(path), target), path)
  }

  unlink(path: string): void {
    unlinkSync(path)
  }

  /** A file whose readers see the old or the new text, never a mixture. */
  write(path: string, text: string): void {
    const building = join(this.#building, String(this.#serial++))
    writeFileSync(building, text)
    renameSync(building, path)
  }

  move(from: string, to: string): void {
    renameSync(from, to)
  }

  /**
   * The directory disappears at once. Its empty shell is kept aside, so that no later directory gets the same inode number:
   * the kernel numbers sysfs inodes upwards, while file systems on disk reuse a free one at the next chance.
   */
  removeDirectory(path: string): void {
    const gone = join(this.#gone, String(this.#serial++))
    renameSync(path, gone)
    for (const name of readdirSync(gone)) rmSync(join(gone, name), { recursive: true })
  }
}

/** Ends in the target's name even where that is a parent of the link, as the kernel's do: programs read the name off the link. */
function textOfLink(from: string, target: string): string {
  return join(relative(from, dirname(target)), basename(target))
}
