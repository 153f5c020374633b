// What the demo prints: chapters, lines, command output, and who is waited for when nothing happens for a second.
const progressMs = 1000

export class Narrator {
  readonly #startedAt = Date.now()
  #lastLineAt = Date.now()

  chapter(title: string): void {
    this.#print(`\n\u001B[1m== ${title}\u001B[0m`)
  }

  line(text: string): void {
    this.#print(text)
  }

  /** A command as a user would type it, and what it printed. */
  command(command: string, output: string): void {
    this.#print(`\n$ ${command}\n${output.trimEnd()}`)
  }

  /** Says once a second, while nothing else is printed, what is being waited for. */
  async during<T>(waitingFor: string, work: Promise<T>): Promise<T> {
    const startedAt = Date.now()
    const timer = setInterval(() => {
      if (Date.now() - this.#lastLineAt < progressMs) return
      this.#print(`   ... ${waitingFor} (${Math.round((Date.now() - startedAt) / 1000)} s)`)
    }, progressMs)
    try {
      return await work
    } finally {
      clearInterval(timer)
    }
  }

  get seconds(): number {
    return Math.round((Date.now() - this.#startedAt) / 1000)
  }

  #print(text: string): void {
    this.#lastLineAt = Date.now()
    process.stdout.write(`${text}\n`)
  }
}
