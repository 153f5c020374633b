// Structured logs to stdout: a fixed text, data in fields, the same keys in all programs (node, pod, eni, resource).
import { pino } from 'pino'

export type Log = pino.Logger

export function createLog(program: string, level: string): Log {
  return pino({ base: { program }, level, timestamp: pino.stdTimeFunctions.isoTime })
}
