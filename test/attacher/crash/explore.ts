// Tells every story once for each call that the attacher makes in it, to EC2 or to write to Kubernetes: it dies before the call, or
// after it, with EC2's answers in time and lagging; then another attacher takes over. Prints what was explored and every
// violation, with the command that replays it; writes bench/results/crash.json.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

import { restartChance } from '../lab/chance.ts'
import type { Death } from '../lab/crash-point.ts'
import { type Circumstances, runStory } from './run-story.ts'
import { type Story, stories } from './stories.ts'

const progressMs = process.stdout.isTTY ? 1_000 : 10_000

interface Run {
  readonly story: string
  readonly lag: boolean
  readonly death?: Death
  /** The call at which it died. */
  readonly call: string
  readonly violations: readonly string[]
}

async function run(story: Story, circumstances: Circumstances, call: string): Promise<Run> {
  restartChance()
  const { violations } = await runStory(story, circumstances)
  return { story: story.name, ...circumstances, call, violations }
}

/** This process's share: each run whose number leaves the rest `index`. */
async function* explore(told: readonly Story[], index: number, of: number): AsyncGenerator<Run> {
  let number = 0
  const isMine = () => number++ % of === index
  for (const story of told) {
    for (const lag of [false, true]) {
      restartChance()
      const alive = await runStory(story, { lag })
      if (isMine()) yield { story: story.name, lag, call: '', violations: alive.violations }
      for (const [i, call] of alive.calls.entries()) {
        for (const when of ['before', 'after'] as const) {
          if (isMine()) yield run(story, { lag, death: { at: i + 1, when } }, call)
        }
      }
    }
  }
}

async function work(index: number, of: number): Promise<void> {
  for await (const done of explore(stories, index, of)) process.send?.(done)
  process.disconnect?.()
}

/** One story, whole, in this process. */
async function exploreStory(number: number): Promise<boolean> {
  const told = stories.slice(number, number + 1)
  let broken = 0
  for await (const { violations, ...one } of explore(told, 0, 1)) {
    if (violations.length === 0) continue
    broken++
    console.log(`VIOLATION ${keyOf({ violations, ...one })}: ${violations.join('; ')}`)
  }
  return broken === 0
}

/** `story number:lag or prompt:before or after:call`, as a violation prints it. */
async function replay(key: string): Promise<boolean> {
  const [number, lag, when, at] = key.split(':')
  const story = stories[Number(number)]
  if (story === undefined) throw new Error(`there is no story ${number}`)
  const death =
    at === undefined ? {} : { death: { at: Number(at), when: when === 'before' ? 'before' : 'after' } as const }
  const { violations } = await run(story, { lag: lag === 'lag', ...death }, '')
  for (const what of violations) console.log(what)
  console.log(violations.length === 0 ? 'nothing is broken' : `${violations.length} violations`)
  return violations.length === 0
}

function keyOf({ story, lag, death }: Run): string {
  const number = stories.findIndex(({ name }) => name === story)
  return [number, lag ? 'lag' : 'prompt', ...(death ? [death.when, death.at] : [])].join(':')
}

async function exploreAll(): Promise<boolean> {
  const startedAt = performance.now()
  const of = availableParallelism()
  const runs: Run[] = []
  let printedAt = startedAt
  const workers = Array.from({ length: of }, (_, index) =>
    fork(import.meta.filename, ['work', String(index), String(of)]),
  )
  for (const worker of workers) {
    worker.on('message', (message) => {
      const done = message as Run
      runs.push(done)
      for (const what of done.violations) console.log(`VIOLATION ${keyOf(done)} (${done.story}; ${done.call}): ${what}`)
      if (performance.now() - printedAt < progressMs) return
      printedAt = performance.now()
      const progress = `${runs.length} runs, ${done.story}`
      process.stdout.write(process.stdout.isTTY ? `\r${progress}\u001B[K` : `${progress}\n`)
    })
  }
  const codes = await Promise.all(workers.map(endOf))
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  const violations = runs.filter((one) => one.violations.length > 0)
  if (process.stdout.isTTY) process.stdout.write('\r\u001B[K')
  for (const { name } of stories) {
    const own = runs.filter(({ story }) => story === name)
    console.log(
      `${String(own.length).padStart(5)} runs, ${own.filter((one) => one.violations.length > 0).length} broken: ${name}`,
    )
  }
  const points = runs.filter(({ death }) => death !== undefined).length
  console.log(`${runs.length} runs, ${points} crashes, ${violations.length} broken, ${seconds} s`)
  if (violations[0] !== undefined) console.log(`replay: make crash ONLY=${keyOf(violations[0])}`)
  mkdirSync('bench/results', { recursive: true })
  const result = { runs: runs.length, crashes: points, violations: violations.length, seconds }
  writeFileSync('bench/results/crash.json', `${JSON.stringify(result, undefined, 2)}\n`)
  return violations.length === 0 && codes.every((code) => code === 0)
}

async function endOf(worker: ChildProcess): Promise<number | null> {
  const [code] = (await once(worker, 'exit')) as [number | null]
  return code
}

const [task, ...rest] = process.argv.slice(2)
if (task === 'work') await work(Number(rest[0]), Number(rest[1]))
else {
  const isWell = await (task === undefined
    ? exploreAll()
    : task.startsWith('story:')
      ? exploreStory(Number(task.slice('story:'.length)))
      : replay(task))
  process.exitCode = isWell ? 0 : 1
}
