// A lock between processes of this machine that the kernel drops when its owner dies, however it dies.
import { spawn } from 'node:child_process'

const waitingNoticeIntervalMs = 10_000

export interface LockWait {
  /** Called every few seconds while another process holds the lock. */
  readonly stillWaiting: () => void
  /** Ends the waiting, not the work. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Waits until no other process holds the lock of this existing file or directory, then runs `work` under it.
 *
 * flock(1) holds the lock for as long as its child lives; the child is a `cat` on a pipe from here, so it
 * ends with this process and no stale lock can ever block the next one.
 */
export async function withMachineLock<T>(
  fileOrDirectory: string,
  { stillWaiting, signal }: LockWait,
  work: () => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const holder = spawn('flock', [fileOrDirectory, 'cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    // Ctrl-C at a terminal reaches the whole group; the lock must last until the work has been undone.
    detached: true,
  })
  const released = new Promise<void>((resolve) => {
    holder.on('close', () => resolve())
  })
  const notice = setInterval(stillWaiting, waitingNoticeIntervalMs)
  const giveUp = () => void holder.kill()
  signal?.addEventListener('abort', giveUp)
  try {
    await new Promise<void>((resolve, reject) => {
      holder.on('error', reject)
      holder.on('exit', (code) => reject(signal?.reason ?? new Error(`flock ended with status ${code}`)))
      // cat runs only once the lock is held, so its first echo is the news.
      holder.stdout.once('data', () => resolve())
      holder.stdin.on('error', () => {})
      holder.stdin.write('held?\n')
    }).finally(() => {
      clearInterval(notice)
      signal?.removeEventListener('abort', giveUp)
    })
    return await work()
  } finally {
    holder.stdin.end()
    await released
  }
}
