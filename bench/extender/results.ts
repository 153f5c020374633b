// bench/results/extender.json: the keys of what was measured now; what was not measured this time stays from before.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'

const directory = new URL('../results/', import.meta.url)
const file = new URL('extender.json', directory)

export type Keys = Readonly<Record<string, number>>

/** To four digits, as they are written; measurements here are good for no more. */
export function rounded(keys: Keys): Keys {
  return Object.fromEntries(Object.entries(keys).map(([key, value]) => [key, Number(value.toPrecision(4))]))
}

export function saveKeys(keys: Keys): void {
  mkdirSync(directory, { recursive: true })
  writeFileSync(file, `${JSON.stringify({ ...before(), ...keys }, undefined, 2)}\n`)
}

function before(): Keys {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Keys
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
}
