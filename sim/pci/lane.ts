// A queue in which one step follows the other: the kernel's lock of a device, or the machine's hot-plug thread.

export class Lane {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs the step when all earlier ones have ended, whether well or badly. */
  run<T>(step: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(step, step)
    this.#last = result.catch(() => undefined)
    return result
  }
}
