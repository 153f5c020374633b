// The device-info files that Multus gives to CNI plugins and writes into a pod's network-status
// (k8snetworkplumbingwg/device-info-spec, version 1.1.0, sections 3 and 4.1).
import { chmod, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { KeyMutex } from '../process/key-mutex.ts'
import type { Log } from '../process/log.ts'
import { type DeviceKey, deviceKey } from './occupancy.ts'

const version = '1.1.0'
const mode = 0o444

export function deviceInfoFileName(resource: string, deviceID: string): string {
  return `${resource.replaceAll('/', '-')}-${deviceID}-device.json`
}

/** Of an ENI there is no more to tell: it has no physical function, no representor, no RDMA device. */
function deviceInfoText(pciAddress: string): string {
  return JSON.stringify({ type: 'pci', version, pci: { 'pci-address': pciAddress } })
}

export class DeviceInfoFiles {
  readonly #directory: string
  readonly #log: Log
  /** By device; another object for each write. */
  readonly #files = new Map<DeviceKey, { readonly name: string }>()
  #failing = false
  readonly #mutex = new KeyMutex()

  constructor(directory: string, log: Log) {
    this.#directory = directory
    this.#log = log
  }

  /** Takes over what an earlier process has written: the pods may still be there. Only files of these resources are ours. */
  async load(resources: Iterable<string>): Promise<void> {
    const names = await readdir(this.#directory).catch(() => [])
    for (const resource of resources) {
      for (const name of names) {
        const deviceID = /([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])-device\.json$/.exec(name)?.[1]
        if (deviceID === undefined || name !== deviceInfoFileName(resource, deviceID)) continue
        this.#files.set(deviceKey(resource, deviceID), { name })
      }
    }
  }

  /** Replaces what is there, which only its owner's client cannot (it creates with O_EXCL, pkg/utils/cniconfig.go). */
  write(resource: string, deviceID: string): Promise<void> {
    const name = deviceInfoFileName(resource, deviceID)
    const unfinished = join(this.#directory, `.${name}.new`)
    return this.#mutex.run(this.#directory, async () => {
      await mkdir(this.#directory, { recursive: true, mode: 0o755 })
      await rm(unfinished, { force: true })
      await writeFile(unfinished, deviceInfoText(deviceID), { mode })
      await chmod(unfinished, mode)
      await rename(unfinished, join(this.#directory, name))
      this.#files.set(deviceKey(resource, deviceID), { name })
    })
  }

  /**
   * Removes the files of devices that nobody has. The specification says to do so when the plugin stops; but then pods that run
   * would lose theirs at each upgrade. Never rejects: what stays is tried again at the next call.
   */
  async removeFree(isFree: (key: DeviceKey) => boolean): Promise<void> {
    const free = [...this.#files].filter(([key]) => isFree(key))
    try {
      await this.#mutex.run(this.#directory, async () => {
        for (const [key, file] of free) {
          // The next pod's file may have taken its place.
          if (this.#files.get(key) !== file) continue
          await rm(join(this.#directory, file.name), { force: true })
          this.#files.delete(key)
        }
      })
      this.#failing = false
    } catch (error) {
      if (!this.#failing) this.#log.error({ err: error }, 'device-info file not removed, trying again')
      this.#failing = true
    }
  }
}
