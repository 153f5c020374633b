// One stage of obtaining the kernel: when it fails, one line says what was tried, why it failed and what to do.
import { CommandError } from '../../cluster/run-command.ts'

export async function stage<T>(
  tried: string,
  whatToDo: string,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    signal?.throwIfAborted()
    throw new Error(`guest kernel: ${tried} failed (${reason(cause)}): ${whatToDo}`, { cause })
  }
}

/** apt and make say the reason last. */
function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const said = cause instanceof CommandError ? cause.stderr.trim().split('\n').at(-1) : ''
  return said || (cause.message.split('\n')[0] ?? '')
}
