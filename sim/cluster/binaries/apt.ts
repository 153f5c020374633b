// The package tools of Debian and those that come after it: what a simulated machine needs of the distribution comes through them.
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { runCommand } from '../run-command.ts'
import type { Host } from '../host.ts'
import { onPath } from './find-program.ts'

/** Another apt or dpkg on this machine may be at work. */
const dpkgLock = ['-o', 'DPkg::Lock::Timeout=300']

export class Apt {
  readonly #env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' }
  readonly #aptGet: string
  readonly #aptCache: string

  private constructor(aptGet: string, aptCache: string) {
    this.#aptGet = aptGet
    this.#aptCache = aptCache
  }

  /** Undefined where packages cannot be installed: without root or on another kind of distribution. */
  static async find(host: Host): Promise<Apt | undefined> {
    const aptGet = await onPath('apt-get', host)
    if (host.uid !== 0 || aptGet === undefined) return undefined
    return new Apt(aptGet, path.join(path.dirname(aptGet), 'apt-cache'))
  }

  /** Takes no signal: a dpkg that is interrupted leaves the machine half installed. */
  async install(packages: readonly string[]): Promise<void> {
    const args = ['install', '-y', '--no-install-recommends', ...dpkgLock, ...packages]
    await this.#withFreshLists(() => runCommand(this.#aptGet, args, { env: this.#env }))
  }

  /** The packages that it depends on, by name; throws when no source of packages has it. */
  async dependencies(name: string): Promise<string[]> {
    const shown = await this.#withFreshLists(() =>
      runCommand(this.#aptCache, ['depends', '--important', name], { env: this.#env }),
    )
    return [...shown.matchAll(/^ *(?:Pre)?Depends: (\S+)$/gm)].map((match) => match[1] ?? '')
  }

  /** The versions that can be downloaded, newest first. */
  async versions(name: string): Promise<string[]> {
    const shown = await runCommand(this.#aptCache, ['madison', name], { env: this.#env })
    // " linux-source-6.1 | 6.1.192-3 | http://... Packages"
    return shown.split('\n').flatMap((line) => line.split('|')[1]?.trim() ?? [])
  }

  /** The downloaded package file; `directory` is to have none yet. apt has compared its checksum with the signed one. */
  async download(packageName: string, directory: string, signal?: AbortSignal): Promise<string> {
    const options = { env: this.#env, cwd: directory, signal }
    await this.#withFreshLists(() => runCommand(this.#aptGet, ['download', packageName], options), signal)
    const file = (await readdir(directory)).find((name) => name.endsWith('.deb'))
    if (file === undefined) throw new Error(`apt-get download ${packageName} has left no package file`)
    return path.join(directory, file)
  }

  /** A fresh container image has no package lists at all, and old ones name what is not there any more. */
  async #withFreshLists<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await work()
    } catch {
      signal?.throwIfAborted()
      await runCommand(this.#aptGet, ['update'], { env: this.#env })
      return work()
    }
  }
}
