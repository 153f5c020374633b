// One run of a story: what happens in it, a death of the attacher on the way, and what is broken in the end.
import { restartChance } from '../lab/chance.ts'
import { Lab } from '../lab/lab.ts'
import type { Death } from '../lab/crash-point.ts'
import { delays, type Story } from './stories.ts'

/** No step of a story takes longer, retries and EC2's lag included; nor is it saved by the informer's new list every ten minutes. */
const stepLimitMs = 9 * 60_000
/** Then whatever is still under way, or is tried again, has shown itself. */
const afterwardsMs = 130_000
/** The steps of a story take seconds: each has a gap. */
const gapEveryMs = 1_500
const watchDelayMs = 700

/**
 * `prompt`: EC2 shows at once what it has done; another attacher leads when the lease of the dead one has run out.
 * `lag`: EC2's answers lag behind, and another leads before EC2 has shown all: somebody deletes the lease of the dead one.
 * `gaps`: as `lag`, by the lease; and the watches of the API server are late, lose events, break, and cannot go on from where they were.
 */
export const circumstances = ['prompt', 'lag', 'gaps'] as const
export type Circumstance = (typeof circumstances)[number]

export interface Fate extends Death {
  /** The name of that call in the run without a death. */
  readonly call: string
}

export interface Outcome {
  /** Of the first attacher, in order. */
  readonly calls: readonly string[]
  /** Nothing when all is well. */
  readonly violations: readonly string[]
}

/** `seed` decides what EC2 draws, and how long whoever waits for a while at random. */
export interface Setting {
  readonly circumstance: Circumstance
  readonly seed: number
}

/** The same up to the death as without it; what chance does from then on is another for each death. */
export async function runStory(story: Story, { circumstance, seed }: Setting, fate?: Fate): Promise<Outcome> {
  restartChance(seed)
  const lab = new Lab({
    ec2: {
      delays,
      ...(circumstance !== 'prompt' && { consistency: { newIdMs: [500, 8_000], listMs: [0, 3_000] } }),
      random: () => Math.random(),
      ...story.ec2,
    },
    lease: circumstance === 'lag' ? 'is deleted' : 'runs out',
    onDeath: () => restartChance(seed + 1_000 * (fate?.at ?? 0)),
  })
  const { clock, scene, ec2, violations } = lab
  for (const name of ['a1', 'a2', 'b1']) scene.addNode(name)
  const mend = circumstance === 'gaps' ? tearWatches(lab) : () => {}
  const attacher = lab.startAttacher(fate)
  try {
    await story.tell({ scene, ec2, lab, until: (isSo) => clock.until(isSo, stepLimitMs) })
    mend()
    await clock.advance(afterwardsMs)
    lab.checkEnd()
    if (fate === undefined && story.happened?.(ec2.calls) === false)
      violations.add('what the story is about never happened')
  } catch (error) {
    violations.add(error instanceof Error ? error.message : String(error))
  }
  if (attacher.diedAt !== fate?.call)
    violations.add(`it died at ${attacher.diedAt ?? 'no call'}, and was to die at call ${fate?.at}, ${fate?.call}`)
  lab.stopAttacher()
  await clock.settle()
  return { calls: attacher.calls, violations: [...violations] }
}

/** One of these after the other, until the returned function is called. */
function tearWatches({ api, clock }: Lab): () => void {
  const gaps = [
    () => api.dropEvents(2),
    () => api.breakWatches(),
    () => {
      api.forgetHistory()
      api.breakWatches()
    },
  ]
  let [torn, isOver] = [0, false]
  const tear = () => {
    if (isOver) return
    gaps[torn++ % gaps.length]?.()
    clock.after(gapEveryMs, tear)
  }
  api.watchDelayMs = watchDelayMs
  clock.after(gapEveryMs, tear)
  return () => {
    isOver = true
    api.watchDelayMs = 0
  }
}
