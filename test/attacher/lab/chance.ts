// In place of chance, so that every run of the explorations does the same.
import { seededRandom } from '../../../sim/ec2/state/duration.ts'

/** Everything random is from here on as it was after the last restart. */
export function restartChance(): void {
  Math.random = seededRandom(1)
}
