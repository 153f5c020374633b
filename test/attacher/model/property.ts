// The property itself: in no order of steps is anything broken. Fails with the shortest list of steps that was found in a bounded
// time, in words, and with what replays it.
import * as fc from 'fast-check'

import { inProcess } from '../../../sim/ec2/in-process.ts'
import { newEc2 } from '../../../sim/ec2/new-ec2.ts'
import { ec2Client } from '../ec2-access.ts'
import { run } from './run.ts'
import { StepList } from './step-list.ts'
import type { Step } from './step.ts'
import { firstSteps, step } from './steps.ts'
import type { Circumstances } from './trial.ts'
import { type InstanceShape, worldWith } from './world.ts'

const circumstances: fc.Arbitrary<Circumstances> = fc.record({
  lag: fc.boolean(),
  slow: fc.boolean(),
  forgetful: fc.boolean(),
  cniSlots: fc.constantFrom(0 as const, 1 as const),
  b1: fc.constantFrom<InstanceShape>('m5.xlarge', 'm5.xlarge', 'm5.4xlarge', 'c6in.32xlarge'),
})

/** In this order it gets shorter. */
const story: fc.Arbitrary<Story> = fc.record({ steps: new StepList(step, 20, 60), first: firstSteps, circumstances })

interface Story {
  readonly steps: readonly Step[]
  readonly first: readonly Step[]
  readonly circumstances: Circumstances
}

export interface Question {
  readonly seed: number
  readonly runs: number
  /** Of one run alone, as a failure tells it. */
  readonly path?: string
  /** How long a shorter list of steps is looked for. */
  readonly shrinkMs: number
  /** Only violations with this text count. */
  readonly about?: string
}

export interface Answer {
  readonly runs: number
  readonly steps: number
  readonly failure?: Failure
}

export interface Failure {
  readonly seed: number
  readonly path: string
  readonly violations: readonly string[]
  readonly journal: readonly string[]
}

export async function ask({ seed, runs, path, shrinkMs, about = '' }: Question): Promise<Answer> {
  await warmUp()
  let [ran, steps, failedAtMs] = [0, 0, Infinity]
  const violationsOf = async ({ circumstances: around, first, steps: then }: Story) => {
    const { violations, journal } = await run(around, [...first, ...then])
    return { violations: violations.filter((one) => one.includes(about)), journal }
  }
  const property = fc.asyncProperty(story, async (one) => {
    // Beyond the time every shorter list is as good as one that does not fail.
    if (performance.now() - failedAtMs > shrinkMs || (path !== undefined && ran > 0)) return
    if (failedAtMs === Infinity) {
      ran++
      steps += one.first.length + one.steps.length
    }
    const { violations } = await violationsOf(one)
    if (violations.length === 0) return
    failedAtMs = Math.min(failedAtMs, performance.now())
    throw new Error(violations.join('\n'))
  })
  const details = await fc.check(property, {
    seed,
    numRuns: runs,
    ...(path !== undefined && { path, endOnFailure: true }),
  })
  if (!details.failed) return { runs: ran, steps }
  const [counterexample] = details.counterexample ?? []
  if (counterexample === undefined)
    throw new Error(`the property fails without an example: ${String(details.errorInstance)}`)
  const { violations, journal } = await violationsOf(counterexample)
  const told = [JSON.stringify(counterexample.circumstances), ...journal]
  return { runs: ran, steps, failure: { seed, path: details.counterexamplePath ?? '', violations, journal: told } }
}

/** The list of steps, what came of it, and how to see it again. */
export function wordsOf({ seed, path, journal }: Failure): string {
  return [...journal, `replay: make model SEED=${seed} RUN=${path}`].join('\n')
}

/** What the SDK does only before the first call of a process takes real time: every run then is as the first. */
async function warmUp(): Promise<void> {
  const ec2 = newEc2({ world: worldWith('m5.xlarge') })
  await ec2Client({ client: inProcess(ec2) }).describeSubnets({ ids: ['subnet-a1'] })
  await ec2.stop()
}
