// A directory outside the checkout, so that a clean clone finds what an earlier one made: each entry is whole or not there, and none
// is made twice at the same time.
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'
import { withMachineLock } from '../machine-lock.ts'

const unfinishedPrefix = '.unfinished-'

/** The directory of all that this project keeps for later runs. */
export function cacheHome(env: NodeJS.ProcessEnv): string {
  return path.join(env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache'), 'jit-eni')
}

export interface CacheWait {
  /** What another process may be at meanwhile: "obtaining the binaries". */
  readonly work: string
  readonly log: (line: string) => void
  readonly signal?: AbortSignal | undefined
}

export class CacheDirectory {
  readonly path: string

  constructor(directory: string) {
    this.path = directory
  }

  /** One process at a time: what two make at once only slows both down. */
  async locked<T>({ work, log, signal }: CacheWait, make: () => Promise<T>): Promise<T> {
    await mkdir(this.path, { recursive: true })
    const stillWaiting = () => log(`waiting for another process that is ${work}`)
    return withMachineLock(this.path, { stillWaiting, signal }, async () => {
      await this.#removeUnfinished()
      return make()
    })
  }

  /** Under the lock: fills a directory beside the final one and renames it, so that half an entry is never seen. */
  async fill(name: string, fill: (directory: string) => Promise<void>): Promise<string> {
    const final = path.join(this.path, name)
    const unfinished = await mkdtemp(path.join(this.path, `${unfinishedPrefix}${name}-`))
    await chmod(unfinished, 0o755)
    try {
      await fill(unfinished)
      await rm(final, { recursive: true, force: true })
      await rename(unfinished, final)
      return final
    } finally {
      await rm(unfinished, { recursive: true, force: true })
    }
  }

  /** What a process left that was killed at this: under the lock no other one is still at it. */
  async #removeUnfinished(): Promise<void> {
    const unfinished = (await readdir(this.path)).filter((name) => name.startsWith(unfinishedPrefix))
    for (const name of unfinished) await rm(path.join(this.path, name), { recursive: true })
  }
}
