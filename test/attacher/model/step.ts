// One thing that may happen: it takes what it needs from what is there, and says what it did.
import type * as fc from 'fast-check'

import type { Trial } from './trial.ts'

/** Answers what it did; nothing when there is nothing to do it to. */
export type Step = (trial: Trial) => string | Promise<string>

export function stepOf<Choice>(
  choices: fc.Arbitrary<Choice>,
  happen: (trial: Trial, chosen: Choice) => string | Promise<string>,
): fc.Arbitrary<Step> {
  return choices.map((chosen) => (trial) => happen(trial, chosen))
}
