// Loaded into the program under test before its first line (node --import): ends it by SIGKILL right before or after one of its
// own steps, named by KILL_AT. The program knows nothing of it.
import processes from 'node:child_process'
import fs from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

/** `step`: 'log <text>', 'rename', 'rm' (of files on disk) or 'send' (to the process that writes to sysfs). */
export interface KillPoint {
  readonly when: 'before' | 'after'
  readonly step: string
  /** Counts from 1. */
  readonly time: number
}

// oxlint-disable typescript/unbound-method -- each is called below with its own object as `this`
const point = JSON.parse(process.env['KILL_AT'] ?? 'null') as KillPoint | null
let times = 0

if (point !== null) {
  const { write } = fs
  // pino's way to stdout.
  const writeOne = (fd: number, ...rest: Parameters<typeof write> extends [number, ...infer Rest] ? Rest : never) =>
    around(lineOf(fd, rest[0]), () => write(fd, ...rest))
  fs.write = writeOne as typeof fs.write
  const { rename, rm } = promises
  promises.rename = (...paths) => around('rename', () => rename(...paths))
  promises.rm = (...path) => around('rm', () => rm(...path))
  const { fork } = processes
  processes.fork = ((...program: Parameters<typeof fork>) => {
    const child = fork(...program)
    const { send } = child
    child.send = (...message: [never]) => around('send', () => send.apply(child, message))
    return child
  }) as typeof fork
  syncBuiltinESMExports()
}

function lineOf(fd: number, text: unknown): string {
  return fd === 1 ? `log ${/"msg":"(.*?)"/.exec(String(text))?.[1]}` : 'write'
}

function around<T>(step: string, take: () => T): T {
  const isNow = step === point?.step && ++times === point.time
  if (isNow && point.when === 'before') process.kill(process.pid, 'SIGKILL')
  const result = take()
  if (!isNow) return result
  if (!(result instanceof Promise)) process.kill(process.pid, 'SIGKILL')
  void Promise.resolve(result).then(() => process.kill(process.pid, 'SIGKILL'))
  return result
}
