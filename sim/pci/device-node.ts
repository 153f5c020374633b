// Character devices below dev/: real ones, so that a container runtime can create them in a container, but with no driver behind them.
// They are made ahead, one set for each card: mknod is a process of its own, and a driver's probe is one step.
import { execFile } from 'node:child_process'
import { existsSync, linkSync, rmSync, writeFileSync } from 'node:fs'
import { promisify } from 'node:util'

import type { SysfsTree } from './sysfs-tree.ts'

interface DeviceNumber {
  readonly major: number
  readonly minor: number
}

/** The misc device of the VFIO container (Documentation/admin-guide/devices.txt). */
const vfioContainer: DeviceNumber = { major: 10, minor: 196 }

// The kernel takes VFIO's and UIO's majors from its dynamic range. 60 to 63 are reserved for local use, so nothing answers there.
const vfioGroupMajor = 60
const uioMajor = 61

export class DeviceNodes {
  readonly #tree: SysfsTree

  constructor(tree: SysfsTree) {
    this.#tree = tree
    for (const directory of ['.nodes', 'dev/vfio']) tree.makeDirectory(tree.at(directory))
  }

  makeVfioContainer(): Promise<void> {
    return makeNode(this.#tree.at('dev/vfio/vfio'), vfioContainer)
  }

  /** Groups and uio devices have the lowest free number, so of so many cards none has a higher one. */
  async makeFor(cards: number): Promise<void> {
    for (const major of [vfioGroupMajor, uioMajor]) {
      for (let minor = 0; minor < cards; minor++) {
        const path = this.#made({ major, minor })
        if (!existsSync(path)) await makeNode(path, { major, minor })
      }
    }
  }

  /** `path` as the node sees it, "/dev/vfio/3". */
  placeVfioGroup(path: string, group: number): void {
    linkSync(this.#made({ major: vfioGroupMajor, minor: group }), this.#tree.at(path))
  }

  placeUio(path: string, number: number): void {
    linkSync(this.#made({ major: uioMajor, minor: number }), this.#tree.at(path))
  }

  remove(path: string): void {
    // Somebody may have removed it by hand.
    rmSync(this.#tree.at(path), { force: true })
  }

  #made({ major, minor }: DeviceNumber): string {
    return this.#tree.at('.nodes', `${major}-${minor}`)
  }
}

/** Without root's rights there is no mknod: then a plain file stands for the device, enough for all but a container. */
async function makeNode(path: string, { major, minor }: DeviceNumber): Promise<void> {
  if (process.getuid?.() !== 0) {
    writeFileSync(path, '', { mode: 0o600, flag: 'wx' })
    return
  }
  await promisify(execFile)('mknod', ['-m', '600', path, 'c', String(major), String(minor)])
}
