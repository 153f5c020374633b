// One run: steps in their order, each looked at; then all is healed and ends, and what must be true by then is looked at.
import { isOurs } from './always.ts'
import { brokenWhenEmpty, brokenWhenHealed, isAtRest } from './in-the-end.ts'
import { mended, type NodeENIName } from './node-enis.ts'
import { nodeNames } from './world.ts'
import type { NodeENISpec } from '../../../src/api/node-eni.ts'
import { restartChance } from '../lab/chance.ts'
import type { Step } from './step.ts'
import { type Circumstances, Trial } from './trial.ts'
import { truthOf } from './truth.ts'

const minuteMs = 60_000
/** Whatever waits, is blocked or rests has its turn in this time. */
const healingMs = 30 * minuteMs
/** Of these the last, in which nobody has anything to do. */
const quietMs = 4 * minuteMs
/** Longer than any `releaseAfter`. */
const idlingMs = 15 * minuteMs
const endingMs = 12 * minuteMs

export interface Outcome {
  /** Nothing when all is well. */
  readonly violations: readonly string[]
  /** What happened, in words. */
  readonly journal: readonly string[]
}

export async function run(circumstances: Circumstances, steps: readonly Step[]): Promise<Outcome> {
  restartChance()
  const trial = new Trial(circumstances)
  const rejected = (reason: unknown) => trial.addBroken([String(reason)], 'unhandled rejection')
  process.on('unhandledRejection', rejected)
  try {
    await trial.look()
    for (const step of steps) {
      trial.tell(await step(trial))
      await trial.look()
      if (trial.violations.length > 0) break
    }
    if (trial.violations.length === 0) await toTheEnd(trial)
  } catch (error) {
    trial.addBroken([error instanceof Error ? (error.stack ?? error.message) : String(error)], 'thrown')
  }
  trial.end()
  await trial.lab.clock.settle()
  process.off('unhandledRejection', rejected)
  return { violations: trial.violations, journal: trial.journal }
}

async function toTheEnd(trial: Trial): Promise<void> {
  const { clock } = trial.lab
  heal(trial)
  await clock.advance(2 * minuteMs)
  putBack(trial)
  await clock.advance(healingMs - quietMs)
  trial.addBroken(await brokenWhileQuiet(trial), 'when all is healed')
  trial.addBroken(await brokenWhenHealed(trial), 'when all is healed')
  if (trial.violations.length > 0) return
  const pods = trial.lab.api.store('pods')
  for (const { metadata } of pods.list()) pods.delete(`${metadata.namespace}/${metadata.name}`)
  trial.tell('all pods are deleted')
  await clock.advance(idlingMs)
  trial.addBroken(await brokenWhileQuiet(trial), 'when all pods are gone')
  trial.addBroken(await brokenWhenHealed(trial), 'when all pods are gone')
  if (trial.violations.length > 0) return
  for (const { metadata } of trial.lab.api.store('nodeenis').list())
    trial.lab.api.store('nodeenis').delete(metadata.name)
  trial.tell('all NodeENIs are deleted')
  await clock.advance(endingMs)
  trial.addBroken(brokenWhenEmpty(trial), 'when all is over')
}

/** While nothing changes, nothing is written. */
async function brokenWhileQuiet(trial: Trial): Promise<string[]> {
  const { clock, ec2, api } = trial.lab
  const wasAtRest = isAtRest(trial, await truthOf(trial))
  const [calls, requests] = [ec2.calls.count(), api.requests.length]
  await clock.advance(quietMs)
  if (!wasAtRest || !isAtRest(trial, await truthOf(trial))) return []
  const made = [...ec2.calls].slice(calls).filter(({ action }) => !action.startsWith('Describe'))
  const written = api.requests
    .slice(requests)
    .filter(({ method, path }) => method !== 'GET' && !path.endsWith('/events'))
  return [
    ...made
      .filter(isOurs)
      .map(({ action, parameters }) => `though nothing has changed: ${action} ${JSON.stringify(parameters)}`),
    ...written.map(({ method, path }) => `though nothing has changed: ${method} ${path}`),
  ]
}

function heal(trial: Trial): void {
  trial.trouble.heal()
  const nodeENIs = trial.lab.api.store('nodeenis')
  for (const { metadata } of nodeENIs.list())
    nodeENIs.update(metadata.name, (object) => ({
      ...object,
      spec: mended(metadata.name as NodeENIName, object['spec'] as NodeENISpec),
    }))
  trial.tell('all is healed')
  putBack(trial)
}

/** What is stopped starts; what somebody has moved to another instance waits there for somebody to take it off. */
function putBack({ record, human, nodes }: Trial): void {
  for (const name of nodeNames) nodes.start(name)
  for (const { made, eni } of record.present())
    if (eni.attachment !== undefined && eni.attachment.instanceId !== made.instanceID) human.detach(made.eniID)
}
