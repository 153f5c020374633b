// Removes what a cluster left whose owner was killed: the kernel ended its processes, files and groups stay.
import { AddressBlock } from './address-block.ts'
import { removeCgroup } from './node/cgroup.ts'
import { abandonedRunDirectories, removeRunDirectory, runId } from './run-directory.ts'

/** Only under the lock of `runDirectoryParent`. */
export async function removeAbandonedClusters(log: (line: string) => void): Promise<void> {
  for (const { runDir, owner } of await abandonedRunDirectories()) {
    log(`removing ${runDir}: its owner, process ${owner.pid}, is gone`)
    await removeCgroup(runId(runDir))
    await new AddressBlock(owner.addressBlock).releaseAbandoned()
    await removeRunDirectory(runDir)
  }
}
