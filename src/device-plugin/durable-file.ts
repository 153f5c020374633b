// A file that is replaced whole, and is on disk when that has been said.
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** What a replacement that was cut off leaves behind; whoever loads the directory removes it. */
export const unfinishedEnd = '.new'

export async function replaceDurably(path: string, text: string): Promise<void> {
  const unfinished = `${path}${unfinishedEnd}`
  const file = await open(unfinished, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(unfinished, path)
  await syncDirectory(dirname(path))
}

/** A rename or removal is on disk only when its directory is (fsync(2)). */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
