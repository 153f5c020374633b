// The CDI spec files of this node's resources. A name in them says which device nodes a container gets at its start, so it is
// true before the device is in the kubelet's list, and gone as soon as it is not true any more.
import { statSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'

import { KeyMutex } from '../process/key-mutex.ts'
import type { Log } from '../process/log.ts'
import { hasSpecFileName, parseSpec, type SpecDevices, specFileName, specText } from './cdi-spec.ts'
import type { DeviceNode } from './device-nodes.ts'

interface SpecFile {
  readonly devices: SpecDevices
  /** Of the file as we left it. */
  readonly identity: string | undefined
}

export interface DescribedDevice {
  readonly resource: string
  readonly deviceID: string
  readonly nodes: readonly DeviceNode[]
}

export class CdiSpecs {
  readonly #directory: string
  readonly #log: Log
  readonly #files = new Map<string, SpecFile>()
  /** What is renamed into place just now: a rename is seen before it returns, so both count meanwhile. */
  readonly #coming = new Map<string, SpecFile>()
  #failing = false
  readonly #mutex = new KeyMutex()

  constructor(directory: string, log: Log) {
    this.#directory = directory
    this.#log = log
  }

  /** Takes over what an earlier process has written: a pod that runs may have its device by one of these names. */
  async load(): Promise<void> {
    for (const name of await this.#names()) {
      const path = join(this.#directory, name)
      if (hasSpecFileName(name.replace(/\.new$/, '')) && name.endsWith('.new')) {
        await rm(path, { force: true })
      } else if (hasSpecFileName(name)) {
        const spec = parseSpec(await readFile(path, 'utf8').catch(() => ''))
        if (spec === undefined || specFileName(spec.resource) !== name) {
          this.#log.warn({ file: path }, 'CDI spec file ignored: it is not one of ours')
        } else {
          this.#files.set(spec.resource, { devices: spec.devices, identity: identityOf(path) })
        }
      }
    }
  }

  /** A container that starts now with the device's name gets these nodes. */
  has({ resource, deviceID, nodes }: DescribedDevice): boolean {
    const files = [this.#files.get(resource), this.#coming.get(resource)].filter((file) => file !== undefined)
    // The runtime has nothing to add, and an older entry would be wrong.
    if (nodes.length === 0) return !files.some(({ devices }) => devices.has(deviceID))
    // Somebody may have removed or replaced the file.
    const identity = identityOf(this.#path(resource))
    const there = files.find((file) => file.identity !== undefined && file.identity === identity)
    return there !== undefined && isDeepStrictEqual(there.devices.get(deviceID), nodes)
  }

  /** Resolves when `has` is true; rejects when the file cannot be written. */
  put({ resource, deviceID, nodes }: DescribedDevice): Promise<void> {
    return this.#mutex.run(this.#directory, async () => {
      const devices = new Map(this.#files.get(resource)?.devices)
      if (nodes.length === 0) devices.delete(deviceID)
      else devices.set(deviceID, nodes)
      await this.#write(resource, devices)
    })
  }

  /** Takes out every device that is not kept. Never rejects: what could not be written is tried again at the next call. */
  async retain(keeps: (device: DescribedDevice) => boolean): Promise<void> {
    const dropped = this.#all().filter((device) => !keeps(device))
    if (dropped.length === 0) return
    try {
      await this.#mutex.run(this.#directory, async () => {
        for (const device of dropped) await this.#drop(device)
      })
      this.#failing = false
    } catch (error) {
      if (!this.#failing) this.#log.error({ err: error }, 'CDI spec file not updated, trying again')
      this.#failing = true
    }
  }

  #all(): readonly DescribedDevice[] {
    return [...this.#files].flatMap(([resource, { devices }]) =>
      Array.from(devices, ([deviceID, nodes]) => ({ resource, deviceID, nodes })),
    )
  }

  /** Unless it has other nodes by now. */
  async #drop({ resource, deviceID, nodes }: DescribedDevice): Promise<void> {
    const devices = new Map(this.#files.get(resource)?.devices)
    if (devices.get(deviceID) !== nodes) return
    devices.delete(deviceID)
    await this.#write(resource, devices)
  }

  /** By rename in the same directory, from a name that no runtime reads: it looks at .json and .yaml only (pkg/cdi/spec-dirs.go). */
  async #write(resource: string, devices: SpecDevices): Promise<void> {
    const path = this.#path(resource)
    if (devices.size === 0) {
      await rm(path, { force: true })
      this.#files.delete(resource)
      return
    }
    await mkdir(this.#directory, { recursive: true, mode: 0o755 })
    const unfinished = `${path}.new`
    await writeFile(unfinished, specText(resource, devices), { mode: 0o644 })
    const written = { devices, identity: identityOf(unfinished) }
    this.#coming.set(resource, written)
    try {
      await rename(unfinished, path)
      this.#files.set(resource, written)
    } finally {
      this.#coming.delete(resource)
    }
  }

  /** A directory that cannot be read will refuse the first `put`, which says so where the user looks. */
  async #names(): Promise<readonly string[]> {
    try {
      return await readdir(this.#directory)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      this.#log.error({ err: error }, 'directory of CDI specs not read')
      return []
    }
  }

  #path(resource: string): string {
    return join(this.#directory, specFileName(resource))
  }
}

/** Another one for every file that somebody else brings to this path, and after every change of its content; a rename keeps it. */
function identityOf(path: string): string | undefined {
  try {
    const { ino, mtimeNs, size } = statSync(path, { bigint: true })
    return `${ino} ${mtimeNs} ${size}`
  } catch {
    return undefined
  }
}
