// What a program at a terminal prints: chapters, lines, command output, and what is waited for when nothing happens for a second.
const progressMs = 1000

export class Narrator {
  readonly #startedAt = Date.now()
  readonly #write: (text: string) => void
  #lastLineAt = Date.now()

  constructor(write: (text: string) => void) {
    this.#write = write
  }

  chapter(title: string): void {
    this.#print(`\n\u001B[1m== ${title}\u001B[0m`)
  }

  line(text: string): void {
    this.#print(text)
  }

  /** A command as a user would type it, and then what it prints. */
  async command(command: string, output: Promise<string>): Promise<void> {
    this.#print(`\n$ ${command}`)
    this.#print((await output).trimEnd())
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
    this.#write(`${text}\n`)
  }
}
