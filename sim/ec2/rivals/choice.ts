// Choices of rivals, from a seeded generator, so that a run can be repeated.

import type { Random } from '../state/duration.ts'

/** Undefined of an empty list. */
export function oneOf<Item>(items: readonly Item[], random: Random): Item | undefined {
  return items[Math.floor(random() * items.length)]
}
