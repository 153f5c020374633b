// What an instance says of itself while it stands by: alive, not ready, and why. The one that works may have the address.
import { type Status, serveStatus } from '../process/status-server.ts'
import type { InstanceLock } from './instance-lock.ts'

export async function serveStatusInTurn(
  status: Status,
  listen: Parameters<typeof serveStatus>[1],
  lock: InstanceLock,
  signal: AbortSignal,
): Promise<void> {
  const inTurn: Status = {
    metrics: status.metrics,
    unhealthy: () => (lock.isHeld ? status.unhealthy() : undefined),
    notReady: () =>
      lock.isHeld ? status.notReady() : 'another device plugin works on this node; standing by until it ends',
  }
  try {
    await serveStatus(inTurn, listen, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    await lock.turn(signal)
    // Whose it is now is no instance of ours.
    if (!signal.aborted) await serveStatus(inTurn, listen, signal)
  }
}
