// Explores RUNS orders of steps from SEED on, on all processors, and prints progress; the first failure ends it, with its shortest list
// of steps in words and the command that replays it. With RUN it replays that one alone; with ABOUT only violations with this text
// count.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'

import { type Answer, ask, type Failure, wordsOf } from './property.ts'

const runsPerSeed = 10
const shrinkMs = 120_000

const { RUNS, SEED, RUN, ABOUT: about = '' } = process.env
const firstSeed = Number(SEED || Date.now() % 1_000_000)
const startedAt = performance.now()

/** Answers for one seed after the other, as they are sent. */
function work(): void {
  process.on('message', (seed: number) => {
    void ask({ seed, runs: runsPerSeed, shrinkMs, about }).then((answer) => process.send?.(answer))
  })
}

async function explore(runs: number): Promise<Failure | undefined> {
  const seeds = Array.from({ length: Math.ceil(runs / runsPerSeed) }, (_, i) => firstSeed + i)
  const total = { runs: 0, steps: 0 }
  let failure: Failure | undefined
  const workers = Array.from({ length: Math.min(availableParallelism(), seeds.length) }, () =>
    fork(import.meta.filename, ['work']),
  )
  const next = (worker: ChildProcess): void => {
    const seed = failure === undefined ? seeds.shift() : undefined
    if (seed === undefined) worker.disconnect()
    else worker.send(seed)
  }
  for (const worker of workers) {
    worker.on('message', (message) => {
      const answer = message as Answer
      total.runs += answer.runs
      total.steps += answer.steps
      failure ??= answer.failure
      const seconds = Math.round((performance.now() - startedAt) / 1000)
      const failures = failure === undefined ? 0 : 1
      console.log(`${total.runs} runs, ${total.steps} steps, ${failures} failures, ${seconds} s`)
      next(worker)
      if (answer.failure !== undefined) for (const other of workers) if (other !== worker) other.kill()
    })
    next(worker)
  }
  const codes = await Promise.all(workers.map((worker) => once(worker, 'exit')))
  if (failure === undefined && codes.some(([code]) => code !== 0))
    throw new Error('a process of the exploration has failed')
  return failure
}

async function replay(path: string): Promise<Failure | undefined> {
  return (await ask({ seed: firstSeed, path, runs: 1, shrinkMs: 0, about })).failure
}

if (process.argv[2] === 'work') work()
else {
  const failure = RUN ? await replay(RUN) : await explore(Number(RUNS || 400))
  console.log(failure === undefined ? 'nothing is broken' : wordsOf(failure))
  process.exitCode = failure === undefined ? 0 : 1
}
