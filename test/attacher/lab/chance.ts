// In place of chance, so that every run of the explorations does the same.
import { seededRandom } from '../../../sim/ec2/state/duration.ts'

/** Everything random is from here on as it was after the last restart with this seed. */
export function restartChance(seed = 1): void {
  Math.random = seededRandom(seed)
}
