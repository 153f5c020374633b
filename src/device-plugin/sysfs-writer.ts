// A child process that does nothing but write to sysfs control files, one list of writes per request. It can block for ever
// in the kernel (unbind of a card in use) without stopping the device plugin, which control-writes.ts guards it for.
import { closeSync, constants, openSync, writeSync } from 'node:fs'

export interface ControlWrite {
  readonly path: string
  readonly value: string
}

export interface WriteRequest {
  readonly id: number
  readonly writes: readonly ControlWrite[]
}

export interface WriteAnswer {
  readonly id: number
  readonly refused?: WriteRefusal
}

export interface WriteRefusal {
  readonly path: string
  /** errno name, such as ENODEV. */
  readonly code: string
}

/** Stops at the first write that the kernel refuses. */
function writeAll(writes: readonly ControlWrite[]): WriteRefusal | undefined {
  for (const { path, value } of writes) {
    try {
      // bind, unbind and drivers_probe are write-only: "r+" is EACCES even for root.
      const file = openSync(path, constants.O_WRONLY)
      try {
        writeSync(file, value)
      } finally {
        closeSync(file)
      }
    } catch (error) {
      return { path, code: (error as NodeJS.ErrnoException).code ?? String(error) }
    }
  }
  return undefined
}

process.on('message', ({ id, writes }: WriteRequest) => {
  const refused = writeAll(writes)
  process.send?.({ id, ...(refused && { refused }) } satisfies WriteAnswer)
})
process.on('disconnect', () => process.exit(0))
// The parent says when it is over; a signal to the process group must not end a write half way.
for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => undefined)
