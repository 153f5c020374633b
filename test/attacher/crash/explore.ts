// Tells every story once without a death, and once for each moment around a call that the attacher makes in it, to EC2 or to write to
// Kubernetes. With EC2's answers in time, and lagging, it dies before each call and after each. With lag and watches that have gaps, at
// every other call one of three in turn: it dies before it, or after it, or has no API server from then on. Then another attacher takes
// over. Prints what was explored and every violation, with the command that replays it; writes bench/results/crash.json.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

import { type Circumstance, circumstances, type Fate, type Outcome, runStory } from './run-story.ts'
import { type Story, stories } from './stories.ts'

const progressMs = process.stdout.isTTY ? 1_000 : 10_000
/** An exploration of less has lost its way. */
const leastCrashes = 2_000
const moments = ['before', 'after', 'cut'] as const
const seed = Number(process.env['SEED'] || 1)

interface Run {
  /** Its slug. */
  readonly story: string
  readonly circumstance: Circumstance
  readonly fate: Fate | undefined
  readonly violations: readonly string[]
}

function tell(story: Story, circumstance: Circumstance, fate?: Fate): Promise<Outcome> {
  return runStory(story, { circumstance, seed: seed + stories.indexOf(story) }, fate)
}

/** The SDK loads parts of itself at its first calls, in real time: these may come in another order than all that follow. */
async function warmUp(): Promise<void> {
  const [first] = stories
  if (first !== undefined) await tell(first, 'prompt')
}

async function run(story: Story, circumstance: Circumstance, fate: Fate): Promise<Run> {
  const { violations } = await tell(story, circumstance, fate)
  return { story: story.slug, circumstance, fate, violations }
}

/** This process's share: each run whose number leaves the rest `index`. */
async function* explore(told: readonly Story[], index: number, of: number): AsyncGenerator<Run> {
  await warmUp()
  let number = 0
  const isMine = () => number++ % of === index
  for (const story of told) {
    for (const circumstance of circumstances) {
      const { calls, violations } = await tell(story, circumstance)
      if (isMine()) yield { story: story.slug, circumstance, fate: undefined, violations }
      for (const [i, call] of calls.entries()) {
        for (const when of momentsOf(circumstance, i)) {
          if (isMine()) yield run(story, circumstance, { at: i + 1, when, call })
        }
      }
    }
  }
}

/** Before and after each call; with gaps, which add to what that shows, at every other call one of three in turn. */
function momentsOf(circumstance: Circumstance, i: number): readonly Fate['when'][] {
  const [before, after] = moments
  if (circumstance !== 'gaps') return [before, after]
  const turn = (i / 2) % moments.length
  return moments.filter((_, place) => place === turn)
}

async function work(index: number, of: number): Promise<void> {
  for await (const done of explore(stories, index, of)) process.send?.(done)
  process.disconnect?.()
}

/** One story, whole, in this process. */
async function exploreStory(story: Story): Promise<boolean> {
  let [told, broken] = [0, 0]
  for await (const done of explore([story], 0, 1)) {
    printViolations(done)
    told++
    if (done.violations.length > 0) broken++
  }
  console.log(`${told} runs, ${broken} broken: ${story.slug}`)
  return broken === 0
}

/** `story:circumstance:before, after or cut:call`, as a violation prints it; `story` alone is all its runs. */
async function replay(key: string): Promise<boolean> {
  const [slug, named, when, at] = key.split(':')
  const story = stories.find((one) => one.slug === slug)
  if (story === undefined) throw new Error(`there is no story ${slug}: ${stories.map((one) => one.slug).join(', ')}`)
  if (named === undefined) return exploreStory(story)
  const circumstance = circumstances.find((one) => one === named)
  if (circumstance === undefined) throw new Error(`there is no ${named}: ${circumstances.join(', ')}`)
  await warmUp()
  const alive = await tell(story, circumstance)
  const fate = when === undefined ? undefined : fateOf(alive, when, Number(at))
  const { violations } = fate === undefined ? alive : await tell(story, circumstance, fate)
  for (const what of violations) console.log(what)
  console.log(violations.length === 0 ? 'nothing is broken' : `${violations.length} violations`)
  return violations.length === 0
}

function fateOf({ calls }: Outcome, named: string, at: number): Fate {
  const when = moments.find((one) => one === named)
  const call = calls[at - 1]
  if (when !== undefined && call !== undefined) return { at, when, call }
  throw new Error(`there is no ${named}:${at}: the attacher makes ${calls.length} calls`)
}

function keyOf({ story, circumstance, fate }: Run): string {
  return [story, circumstance, ...(fate ? [fate.when, fate.at] : [])].join(':')
}

function printViolations(done: Run): void {
  for (const what of done.violations)
    console.log(`VIOLATION ${keyOf(done)} (${done.fate?.call ?? 'no death'}): ${what}`)
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
      printViolations(done)
      if (performance.now() - printedAt < progressMs) return
      printedAt = performance.now()
      const progress = `${runs.length} runs, ${done.story}`
      process.stdout.write(process.stdout.isTTY ? `\r${progress}\u001B[K` : `${progress}\n`)
    })
  }
  const codes = await Promise.all(workers.map(endOf))
  if (process.stdout.isTTY) process.stdout.write('\r\u001B[K')
  const isWell = report(runs, Math.round((performance.now() - startedAt) / 1000))
  return isWell && codes.every((code) => code === 0)
}

/** Answers whether nothing is broken, and enough was explored to know. */
function report(runs: readonly Run[], seconds: number): boolean {
  const brokenOf = (some: readonly Run[]) => some.filter(({ violations }) => violations.length > 0)
  for (const { slug, name } of stories) {
    const own = runs.filter(({ story }) => story === slug)
    console.log(`${String(own.length).padStart(5)} runs, ${brokenOf(own).length} broken: ${slug} (${name})`)
  }
  const crashes = runs.filter(({ fate }) => fate !== undefined).length
  const broken = brokenOf(runs)
  const violations = broken.flatMap((one) => one.violations).length
  console.log(
    `${runs.length} runs, ${crashes} crashes, ${violations} violations in ${broken.length} runs, ${seconds} s`,
  )
  if (crashes < leastCrashes) console.log(`these are too few crashes: there are to be ${leastCrashes}`)
  if (broken[0] !== undefined) console.log(`replay: make crash SEED=${seed} ONLY=${keyOf(broken[0])}`)
  mkdirSync('bench/results', { recursive: true })
  const result = { runs: runs.length, crashes, violations, broken_runs: broken.length, seconds }
  writeFileSync('bench/results/crash.json', `${JSON.stringify(result, undefined, 2)}\n`)
  return violations === 0 && crashes >= leastCrashes
}

async function endOf(worker: ChildProcess): Promise<number | null> {
  const [code] = (await once(worker, 'exit')) as [number | null]
  return code
}

const [task, ...rest] = process.argv.slice(2)
if (task === 'work') await work(Number(rest[0]), Number(rest[1]))
else {
  const isWell = await (task === undefined ? exploreAll() : replay(task))
  process.exitCode = isWell ? 0 : 1
}
