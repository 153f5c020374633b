// Puts each fault of mutants.ts into a copy of the project and runs the tests that must catch it. Prints a table; exit code 1 when
// one was not caught. An argument is a part of the fault's name.
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'

import { type Mutant, mutants } from './mutants.ts'

const run = promisify(execFile)
const project = path.join(import.meta.dirname, '..', '..')
const copied = ['package.json', 'tsconfig.json', 'src', 'test', 'sim', 'proto', 'deploy', 'bench']
/** A fault that makes the tests wait for ever is caught by that. */
const timeoutMs = 180_000

async function isCaught(mutant: Mutant): Promise<boolean> {
  const copy = mkdtempSync(path.join(tmpdir(), 'jit-eni-mutant-'))
  try {
    prepare(copy, mutant)
    return await fails(mutant.caughtBy, copy)
  } finally {
    rmSync(copy, { recursive: true })
  }
}

function prepare(copy: string, { file, find, replace }: Mutant): void {
  for (const name of copied) cpSync(path.join(project, name), path.join(copy, name), { recursive: true })
  symlinkSync(path.join(project, 'node_modules'), path.join(copy, 'node_modules'))
  const text = readFileSync(path.join(copy, file), 'utf8')
  if (text.split(find).length !== 2) throw new Error(`${file} does not have exactly once: ${find}`)
  writeFileSync(
    path.join(copy, file),
    text.replace(find, () => replace),
  )
}

async function fails(tests: readonly string[], cwd: string): Promise<boolean> {
  try {
    await run(process.execPath, [...tests], { cwd, timeout: timeoutMs, maxBuffer: 2 ** 30 })
    return false
  } catch (error) {
    if (error instanceof Error && 'code' in error) return true
    throw error
  }
}

const wanted = process.argv[2] ?? ''
const queue = mutants.filter(({ fault }) => fault.includes(wanted))
const survivors: string[] = []
async function work(): Promise<void> {
  for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
    const caught = await isCaught(mutant)
    if (!caught) survivors.push(mutant.fault)
    const by = mutant.caughtBy.filter((argument) => !argument.startsWith('--')).join(' ')
    console.log(`${caught ? 'caught  ' : 'SURVIVED'} ${mutant.fault} (${by})`)
  }
}
const count = queue.length
await Promise.all(Array.from({ length: availableParallelism() }, work))
console.log(`${count - survivors.length} of ${count} faults were caught`)
process.exitCode = survivors.length === 0 ? 0 : 1
