// Which device nodes the answers to Allocate named, where they name any (JIT_ENI_DEVICE_INJECTION=device-nodes): the kubelet replays
// such an answer for as long as the pod lives, over reboots too, while the node may have another number or be another card's by then.
// One file per device, so there are never more than devices; on disk before the answer is.
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

import { KeyMutex } from '../process/key-mutex.ts'
import type { Log } from '../process/log.ts'
import type { DeviceNode } from './device-nodes.ts'
import { replaceDurably } from './durable-file.ts'
import { type DeviceKey, deviceKey } from './occupancy.ts'

const recordSchema = z.object({
  resource: z.string().min(1),
  deviceID: z.string().min(1),
  nodes: z.array(z.object({ containerPath: z.string(), hostPath: z.string() })),
})

export type AllocationRecord = z.output<typeof recordSchema>

const suffix = '.json'

export class AllocationRecords {
  readonly #directory: string
  readonly #log: Log
  readonly #records = new Map<DeviceKey, AllocationRecord>()
  #failing = false
  readonly #mutex = new KeyMutex()

  constructor(directory: string, log: Log) {
    this.#directory = directory
    this.#log = log
  }

  /** Whether some pod may still have an answer that names nodes. */
  get areThere(): boolean {
    return this.#records.size > 0
  }

  /** What cannot be read is removed and named: without it a start is refused, which is the safe side. */
  async load(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    for (const name of await readdir(this.#directory)) {
      const path = join(this.#directory, name)
      const record = name.endsWith(suffix) ? parse(await readFile(path, 'utf8')) : undefined
      if (record !== undefined && fileName(record) === name) {
        this.#records.set(deviceKey(record.resource, record.deviceID), record)
      } else {
        if (name.endsWith(suffix)) this.#log.warn({ file: path }, 'allocation record removed: it cannot be read')
        await rm(path, { force: true })
      }
    }
  }

  nodesOf(resource: string, deviceID: string): readonly DeviceNode[] | undefined {
    return this.#records.get(deviceKey(resource, deviceID))?.nodes
  }

  /** Resolves when it is on disk. */
  write(resource: string, deviceID: string, nodes: readonly DeviceNode[]): Promise<void> {
    return this.#mutex.run(this.#directory, () => this.#write({ resource, deviceID, nodes: [...nodes] }))
  }

  async #write(record: AllocationRecord): Promise<void> {
    await replaceDurably(join(this.#directory, fileName(record)), JSON.stringify(record))
    this.#records.set(deviceKey(record.resource, record.deviceID), record)
  }

  /** Never rejects: what stays is tried again at the next call. One that stays too long is replaced at the next Allocate. */
  async removeFree(isFree: (key: DeviceKey) => boolean): Promise<void> {
    const free = [...this.#records].filter(([key]) => isFree(key))
    try {
      await this.#mutex.run(this.#directory, async () => {
        for (const [key, record] of free) {
          // The next pod's record may have taken its place.
          if (this.#records.get(key) !== record) continue
          await rm(join(this.#directory, fileName(record)), { force: true })
          this.#records.delete(key)
        }
      })
      this.#failing = false
    } catch (error) {
      if (!this.#failing) this.#log.error({ err: error }, 'allocation record not removed, trying again')
      this.#failing = true
    }
  }
}

/** A name of any length fits. */
function fileName({ resource, deviceID }: Pick<AllocationRecord, 'resource' | 'deviceID'>): string {
  return `${createHash('sha256').update(deviceKey(resource, deviceID)).digest('hex').slice(0, 32)}${suffix}`
}

function parse(text: string): AllocationRecord | undefined {
  try {
    return recordSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}
