// What a start has begun and how it is undone: in reverse order, all of it, whatever fails on the way.

/** Thrown when something could not be undone. */
export class LeftBehind extends Error {
  /** What is left on the machine, and why, one text each. */
  readonly remains: readonly string[]

  constructor(failures: readonly unknown[]) {
    const remains = failures.flatMap(textsOf)
    super(`not everything was removed:\n${remains.join('\n')}`, { cause: failures[0] })
    this.name = 'LeftBehind'
    this.remains = remains
  }
}

type Undo = () => unknown

export class CleanUp implements AsyncDisposable {
  #steps: Undo[] = []
  #last: Undo | undefined
  #running: Promise<void> | undefined

  defer(undo: Undo): void {
    this.#steps.push(undo)
  }

  /** For what tells a later start whose remains these are: undone after all else, and only when nothing else is left. */
  deferLast(undo: Undo): void {
    this.#last = undo
  }

  /** To be called when all has been started: what was deferred here is now for the caller to undo. */
  move(): CleanUp {
    const moved = new CleanUp()
    moved.#steps = this.#steps
    moved.#last = this.#last
    this.#steps = []
    this.#last = undefined
    return moved
  }

  /** Idempotent. Throws LeftBehind when it is through. */
  async run(): Promise<void> {
    await (this.#running ??= this.#undo())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run()
  }

  async #undo(): Promise<void> {
    const failures: unknown[] = []
    const attempt = async (undo: Undo) => {
      try {
        await undo()
      } catch (failure) {
        failures.push(failure)
      }
    }
    for (const undo of this.#steps.toReversed()) await attempt(undo)
    if (failures.length === 0 && this.#last !== undefined) await attempt(this.#last)
    if (failures.length > 0) throw new LeftBehind(failures)
  }
}

/** Waits for all of them, also after a failure, and throws all failures as one. */
export async function allUndone(undone: readonly Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(undone)
  const failures: unknown[] = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  if (failures.length > 0) throw new LeftBehind(failures)
}

function textsOf(failure: unknown): readonly string[] {
  if (failure instanceof LeftBehind) return failure.remains
  return [failure instanceof Error ? failure.message : String(failure)]
}
