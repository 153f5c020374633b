// Writes to sysfs control files, made by a warm child process with a deadline: a write that never returns costs one child
// and one card, not the program. One request after the other; one that takes long keeps its child, and the next gets another. A card
// has one request at a time (card-work.ts), so there are never more children than cards.
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import type { CardAppearance, ControlWrite, WriteAnswer, WriteRefusal, WriteRequest } from './sysfs-writer.ts'

export type WriteOutcome =
  | { readonly kind: 'written' }
  | ({ readonly kind: 'refused' } & WriteRefusal)
  /** No answer within the deadline. `ended` resolves when the kernel has let the writer go. */
  | { readonly kind: 'stuck'; readonly ended: Promise<void> }

export interface ControlWrites {
  /** There will be something to write before long. */
  readonly warmUp: () => void
  /** Writes nothing when the card is no longer there, or another one in its place. */
  readonly write: (card: CardAppearance, writes: readonly ControlWrite[]) => Promise<WriteOutcome>
}

/** An unbind took 60 to 250 ms on an emulated machine; one that takes this long waits for somebody. */
const defaultDeadlineMs = 5_000

/** On an emulated machine with three times as much to do as it can, a Node process needed more than 5 s for its start. */
const startDeadlineMs = 60_000

/** Longer than an unbind takes that waits for nobody. */
const patienceMs = 500

/** A Node process has 50 MB, whether it writes or waits; a node on which nothing changes need not keep one. */
const defaultIdleMs = 60_000

/** In dist the sibling is .js; tsc rewrites imports, not this name. */
const writerPath = fileURLToPath(new URL(`./sysfs-writer${import.meta.url.slice(-3)}`, import.meta.url))

export class WriterProcess implements ControlWrites {
  readonly #deadlineMs: number
  readonly #fork: () => ChildProcess
  #child: ChildProcess | undefined
  readonly #idleMs: number
  #idle: NodeJS.Timeout | undefined
  #last: Promise<unknown> = Promise.resolve()
  #requests = 0
  #unanswered = 0

  constructor(deadlineMs = defaultDeadlineMs, forkChild = forkWriter, idleMs = defaultIdleMs) {
    this.#deadlineMs = deadlineMs
    this.#fork = forkChild
    this.#idleMs = idleMs
  }

  /** Of the child, while there is one. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Starts the child ahead of a card: a Node process takes 50 ms or more to start. It ends when it has been idle for a while. */
  warmUp(): void {
    try {
      this.#running()
      this.#endWhenIdle()
    } catch {
      // The first write tries again, and tells.
    }
  }

  write(card: CardAppearance, writes: readonly ControlWrite[]): Promise<WriteOutcome> {
    this.#unanswered++
    const turn = this.#last
    const mine = turn.then(() => this.#request(card, writes))
    this.#last = turn.then(() => this.#endOrPatience(mine))
    void mine.then(() => {
      this.#unanswered--
      this.#endWhenIdle()
    })
    return mine
  }

  /** A child that takes long is left to its request; it ends with that. */
  async #endOrPatience(request: Promise<WriteOutcome>): Promise<void> {
    const patience = Promise.withResolvers<void>()
    const timer = setTimeout(() => {
      this.#child = undefined
      patience.resolve()
    }, patienceMs)
    await Promise.race([request, patience.promise])
    clearTimeout(timer)
  }

  #endWhenIdle(): void {
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => this.#unanswered === 0 && this.stop(), this.#idleMs).unref()
  }

  stop(): void {
    clearTimeout(this.#idle)
    if (this.#child?.connected === true) this.#child.disconnect()
    this.#child = undefined
  }

  async #request(card: CardAppearance, writes: readonly ControlWrite[]): Promise<WriteOutcome> {
    const id = ++this.#requests
    let child: ChildProcess | undefined
    try {
      child = this.#running()
      const outcome = await this.#answer(child, { id, card, writes })
      if (this.#child !== child && child.connected) child.disconnect()
      return outcome
    } catch (error) {
      // No memory or no file descriptor for a child, or one that came without its channel, or ended before it took the request.
      if (child?.connected === true) child.disconnect()
      if (this.#child === child) this.#child = undefined
      const hasEnded = (error as NodeJS.ErrnoException).code === 'EPIPE'
      const code = hasEnded ? 'writer process ended' : `no writer process: ${String(error)}`
      return { kind: 'refused', path: card.directory, code }
    }
  }

  async #answer(child: ChildProcess, request: WriteRequest): Promise<WriteOutcome> {
    const { id, card } = request
    const { promise, resolve, reject } = Promise.withResolvers<WriteOutcome>()
    const onMessage = (answer: WriteAnswer) => {
      if (answer.id !== id) return
      if (answer.begun === true) {
        clearTimeout(timer)
        timer = setTimeout(abandon, this.#deadlineMs)
        return
      }
      resolve(answer.refused === undefined ? { kind: 'written' } : { kind: 'refused', ...answer.refused })
    }
    const onExit = () => resolve({ kind: 'refused', path: card.directory, code: 'writer process ended' })
    const abandon = () => resolve(this.#abandon(child))
    // A process that is only slow to start waits for nobody.
    let timer = setTimeout(abandon, startDeadlineMs)
    child.on('message', onMessage)
    child.once('exit', onExit)
    child.once('error', reject)
    try {
      child.send(request, (error) => error && reject(error))
      return await promise
    } finally {
      clearTimeout(timer)
      child.off('message', onMessage)
      child.off('exit', onExit)
      child.off('error', reject)
    }
  }

  /** SIGKILL works only when the kernel lets the write go, so the child may live as long as the card's holder. */
  #abandon(child: ChildProcess): WriteOutcome {
    const ended = Promise.withResolvers<void>()
    child.once('exit', () => ended.resolve())
    if (child.exitCode !== null || child.signalCode !== null) ended.resolve()
    child.kill('SIGKILL')
    if (this.#child === child) this.#child = undefined
    return { kind: 'stuck', ended: ended.promise }
  }

  #running(): ChildProcess {
    if (this.#child !== undefined) return this.#child
    const child = this.#fork()
    const forget = () => {
      if (this.#child === child) this.#child = undefined
    }
    child.once('exit', forget)
    child.on('error', forget)
    child.once('disconnect', forget)
    this.#child = child
    return child
  }
}

export function forkWriter(): ChildProcess {
  return fork(writerPath, {
    execArgv: ['--max-semi-space-size=1', '--max-old-space-size=16'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
}
