// One line of the preflight.

export interface Finding {
  readonly what: string
  /** good: as it must be. bad: ENIs cannot be used so. note: to know, or not to be seen from here. */
  readonly verdict: 'good' | 'bad' | 'note'
  readonly found: string
  /** What to do. */
  readonly advice?: string
}

export const good = (what: string, found: string): Finding => ({ what, verdict: 'good', found })
export const bad = (what: string, found: string, advice: string): Finding => ({ what, verdict: 'bad', found, advice })
export function note(what: string, found: string, advice?: string): Finding {
  return { what, verdict: 'note', found, ...(advice !== undefined && { advice }) }
}
