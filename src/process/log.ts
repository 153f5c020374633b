// Structured logs to stdout: a fixed text, data in fields, the same keys in all programs (node, pod, eni, resource).
import { pino } from 'pino'

export type Log = pino.Logger

/** A level that pino does not know is refused by the settings; until then `info` serves. */
export function createLog(program: string, level: string | undefined): Log {
  const known = level !== undefined && level in pino.levels.values
  return pino({ base: { program }, level: known ? level : 'info', timestamp: pino.stdTimeFunctions.isoTime })
}
