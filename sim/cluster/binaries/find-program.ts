// Where a program of the machine is.
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import path from 'node:path'
import type { Host } from '../host.ts'

export async function onPath(command: string, { searchDirs }: Host): Promise<string | undefined> {
  for (const dir of searchDirs) {
    const file = path.join(dir, command)
    if (await executable(file)) return file
  }
  return undefined
}

export function executable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  )
}
