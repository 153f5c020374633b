// A time that EC2 takes: always the same, or drawn from a range by a seeded generator, so that a run can be repeated.

/** Milliseconds; of a range every whole number is as likely. */
export type Duration = number | readonly [least: number, most: number]

/** Numbers in [0, 1). */
export type Random = () => number

export function drawn(duration: Duration, random: Random): number {
  if (typeof duration === 'number') return duration
  const [least, most] = duration
  return least + Math.floor(random() * (most - least + 1))
}

export function longest(duration: Duration): number {
  return typeof duration === 'number' ? duration : duration[1]
}

/** mulberry32: small and well known. */
export function seededRandom(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
