// A container keeps a host directory that was removed, and never sees the one made in its place: its bind mount is of the
// removed one (mount_namespaces(7)). Only a container that starts anew gets the new directory, so the program ends.
import { statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

const pollMs = 1_000

/** @throws when one of the directories has no name left on the node and yet is here. */
export async function watchForDeadMounts(directories: readonly string[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const dead = directories.find((directory) => statSync(directory, { throwIfNoEntry: false })?.nlink === 0)
    if (dead !== undefined) {
      throw new Error(
        `${dead} was removed on the node and this mount still shows the removed one; start again for the new one`,
      )
    }
    await delay(pollMs, undefined, { signal }).catch(() => undefined)
  }
}
