// Puts each fault of mutants.ts into a copy of the project and runs the tests that must catch it, which must be green without it.
// Prints a table; exit code 1 when one was not caught. An argument is a part of the fault's name.
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

type Outcome = 'green' | 'red' | 'timed out'

/** Of these tests in a copy of the project, with the fault in it. */
async function outcomeOf(tests: readonly string[], mutant?: Mutant): Promise<Outcome> {
  const copy = mkdtempSync(path.join(tmpdir(), 'jit-eni-mutant-'))
  try {
    for (const name of copied) cpSync(path.join(project, name), path.join(copy, name), { recursive: true })
    symlinkSync(path.join(project, 'node_modules'), path.join(copy, 'node_modules'))
    if (mutant !== undefined) putInto(copy, mutant)
    return await outcomeIn(copy, tests)
  } finally {
    rmSync(copy, { recursive: true })
  }
}

function putInto(copy: string, { file, find, replace }: Mutant): void {
  const text = readFileSync(path.join(copy, file), 'utf8')
  if (text.split(find).length !== 2) throw new Error(`${file} does not have exactly once: ${find}`)
  writeFileSync(
    path.join(copy, file),
    text.replace(find, () => replace),
  )
}

async function outcomeIn(cwd: string, tests: readonly string[]): Promise<Outcome> {
  try {
    await run(process.execPath, [...tests], { cwd, timeout: timeoutMs, maxBuffer: 2 ** 30 })
    return 'green'
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
    return 'killed' in error && error.killed === true ? 'timed out' : 'red'
  }
}

/** On all processors: each takes the next from the same queue. */
async function forEach<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const queue = all.values()
  const workThrough = async () => {
    for (const one of queue) await work(one)
  }
  await Promise.all(Array.from({ length: availableParallelism() }, workThrough))
}

function wordsOf(tests: readonly string[]): string {
  return tests.filter((argument) => !argument.startsWith('--')).join(' ')
}

/** Tests that are red by themselves catch nothing. */
async function redWithoutFault(chosen: readonly Mutant[]): Promise<string[]> {
  const red: string[] = []
  const distinct = new Map(chosen.map(({ caughtBy }) => [wordsOf(caughtBy), caughtBy]))
  await forEach([...distinct], async ([words, tests]) => {
    const outcome = await outcomeOf(tests)
    if (outcome !== 'green') red.push(`${outcome} without any fault: ${words}`)
  })
  return red
}

async function survivorsOf(chosen: readonly Mutant[]): Promise<number> {
  let survivors = 0
  await forEach(chosen, async (mutant) => {
    const outcome = await outcomeOf(mutant.caughtBy, mutant)
    if (outcome === 'green') survivors++
    const said = { green: 'SURVIVED ', red: 'caught   ', 'timed out': 'timed out' }[outcome]
    console.log(`${said} ${mutant.fault} (${wordsOf(mutant.caughtBy)})`)
  })
  console.log(`${chosen.length - survivors} of ${chosen.length} faults were caught`)
  return survivors
}

const wanted = process.argv[2] ?? ''
const chosen = mutants.filter(({ fault }) => fault.includes(wanted))
if (chosen.length === 0) throw new Error(`no fault of test/mutants/mutants.ts is named ${wanted}`)
const red = await redWithoutFault(chosen)
for (const what of red) console.log(what)
process.exitCode = red.length === 0 && (await survivorsOf(chosen)) === 0 ? 0 : 1
