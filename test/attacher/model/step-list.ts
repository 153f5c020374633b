// A list of steps that gets shorter well: whole stretches are left out first, then smaller ones, then single steps, and at last the
// steps themselves are made simpler. fast-check's own arrays get shorter from one end only.
import * as fc from 'fast-check'

interface Item<Step> {
  readonly value: fc.Value<Step>
}

/** Where the search goes on in a list that was found to fail as well. */
interface Progress<Step> {
  readonly items: readonly Item<Step>[]
  /** Steps left out at a time; 0: none any more. */
  readonly stretch: number
  /** Up to here nothing more of that length can be left out, counted from the end. */
  readonly tried: number
}

export class StepList<Step> extends fc.Arbitrary<readonly Step[]> {
  readonly #step: fc.Arbitrary<Step>
  readonly #length: fc.Arbitrary<number>

  constructor(step: fc.Arbitrary<Step>, least: number, most: number) {
    super()
    this.#step = step
    this.#length = fc.integer({ min: least, max: most })
  }

  override generate(random: fc.Random, bias: number | undefined): fc.Value<readonly Step[]> {
    const { value: length } = this.#length.generate(random, undefined)
    const items = Array.from({ length }, () => ({ value: this.#step.generate(random, bias) }))
    return valueOf({ items, stretch: Math.ceil(length / 2), tried: 0 })
  }

  override canShrinkWithoutContext(_value: unknown): _value is readonly Step[] {
    return false
  }

  override shrink(_value: readonly Step[], context: unknown): fc.Stream<fc.Value<readonly Step[]>> {
    return fc.stream(this.#shorter(context as Progress<Step>))
  }

  *#shorter({ items, stretch, tried }: Progress<Step>): IterableIterator<fc.Value<readonly Step[]>> {
    let done = tried
    for (let length = stretch; length > 0; length = length === 1 ? 0 : Math.ceil(length / 2)) {
      for (; done < items.length; done += length) {
        const to = items.length - done
        const left = [...items.slice(0, Math.max(0, to - length)), ...items.slice(to)]
        yield valueOf({ items: left, stretch: length, tried: done })
      }
      done = 0
    }
    for (const [i, item] of items.entries()) {
      for (const value of this.#step.shrink(item.value.value, item.value.context))
        yield valueOf({ items: items.with(i, { value }), stretch: 0, tried: 0 })
    }
  }
}

function valueOf<Step>(progress: Progress<Step>): fc.Value<readonly Step[]> {
  return new fc.Value(
    progress.items.map(({ value }) => value.value),
    progress,
  )
}
