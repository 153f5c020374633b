// A token, certificate or key that may stand in a file. The kubelet replaces such files while we run, so they are read anew after
// a minute, as client-go does, or when what they said was refused.
import { readFile } from 'node:fs/promises'

import type { Clock } from '../process/clock.ts'
import type { Material } from './kubeconfig.ts'

const rereadMs = 60_000

export class MaterialReader {
  readonly #material: Material | undefined
  readonly #clock: Pick<Clock, 'monotonic'>
  #text: string | undefined
  #readAt = -Infinity

  constructor(material: Material | undefined, clock: Pick<Clock, 'monotonic'>) {
    this.#material = material
    this.#clock = clock
  }

  /** undefined when there is none. @throws when the file cannot be read and never could. */
  async read(): Promise<string | undefined> {
    if (this.#material === undefined) return undefined
    if ('text' in this.#material) return this.#material.text
    if (this.#clock.monotonic() - this.#readAt < rereadMs) return this.#text
    try {
      this.#text = await contentOf(this.#material.file)
      this.#readAt = this.#clock.monotonic()
    } catch (error) {
      // While a file is being replaced, what it said before serves.
      if (this.#text === undefined) throw error
    }
    return this.#text
  }

  /** Read anew next time. */
  forget(): void {
    this.#readAt = -Infinity
  }
}

/** A file that is being written is empty for a moment; and an empty authority would make Node trust all that it knows. */
async function contentOf(file: string): Promise<string> {
  const text = (await readFile(file, 'utf8')).trim()
  if (text === '') throw new Error(`${file} is empty`)
  return text
}
