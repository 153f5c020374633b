// The kubelet takes free devices in Go's random order of map iteration; here a seed makes that order repeatable.

export type Shuffle = (items: readonly string[]) => string[]

export function seededShuffle(seed: number): Shuffle {
  const random = mulberry32(seed)
  return (items) => {
    const shuffled = [...items]
    for (let last = shuffled.length - 1; last > 0; last--) {
      const other = Math.floor(random() * (last + 1))
      const swapped = shuffled[last] as string
      shuffled[last] = shuffled[other] as string
      shuffled[other] = swapped
    }
    return shuffled
  }
}

/** A small well-known generator of numbers in [0, 1). */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
