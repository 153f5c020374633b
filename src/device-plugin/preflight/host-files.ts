// Files of the host as a look from outside reads them: what is not there, or not for us to read, is undefined.
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'

export function textOf(path: string): string | undefined {
  return bytesOf(path)?.toString('utf8').trim()
}

export function bytesOf(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch {
    return undefined
  }
}

export function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).sort()
  } catch {
    return []
  }
}

/** Whether files can be made in this directory, or it can be made itself. */
export function isWritable(directory: string): boolean {
  let nearest = directory
  while (!existsSync(nearest) && dirname(nearest) !== nearest) nearest = dirname(nearest)
  try {
    accessSync(nearest, constants.W_OK)
    return true
  } catch {
    return false
  }
}
