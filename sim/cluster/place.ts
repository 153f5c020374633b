// The place that one cluster has on this machine: a block of addresses, and a directory that says whose it is.
import { removeAbandonedClusters } from './abandoned-clusters.ts'
import { AddressBlock } from './address-block.ts'
import { withMachineLock } from './machine-lock.ts'
import { createRunDirectory, removeRunDirectory, runDirectoryParent } from './run-directory.ts'

export class Place {
  readonly addresses: AddressBlock
  readonly runDir: string
  readonly #log: (line: string) => void

  private constructor(addresses: AddressBlock, runDir: string, log: (line: string) => void) {
    this.addresses = addresses
    this.runDir = runDir
    this.#log = log
  }

  /** Also removes what clusters left whose owners are gone. */
  static async take(log: (line: string) => void, signal?: AbortSignal): Promise<Place> {
    const stillWaiting = () => log('waiting for another cluster to take its place on this machine')
    // Under the lock no one takes an address block away from the cluster that has just claimed it.
    return withMachineLock(runDirectoryParent, { stillWaiting, signal }, async () => {
      await removeAbandonedClusters(log)
      const addresses = await AddressBlock.claim()
      try {
        return new Place(addresses, await createRunDirectory(addresses.index), log)
      } catch (error) {
        await addresses.release()
        throw error
      }
    })
  }

  /**
   * First the addresses, then the directory that names them: whatever ends this half-way, the next start finds the rest. Under the
   * lock, because that start must not find the directory when another cluster already has the addresses.
   */
  async giveBack(): Promise<void> {
    const stillWaiting = () => this.#log('waiting for another cluster to take its place, to give this one back')
    await withMachineLock(runDirectoryParent, { stillWaiting }, async () => {
      await this.addresses.release()
      await removeRunDirectory(this.runDir)
    })
  }
}
