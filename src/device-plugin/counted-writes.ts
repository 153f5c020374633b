// Counts the writes that the API server does not take; whoever asked for one hears of it as without this.
import type { AttachmentWrites } from './attachment-writes.ts'

export function countedWrites(writes: AttachmentWrites, onFailure: (write: string) => void): AttachmentWrites {
  const counted = async (write: string, request: Promise<void>) => {
    try {
      await request
    } catch (error) {
      onFailure(write)
      throw error
    }
  }
  return {
    writeStatus: (attachment, device) => counted('status', writes.writeStatus(attachment, device)),
    endFinalizer: (attachment) => counted('finalizer', writes.endFinalizer(attachment)),
  }
}
