// The node's interfaces as they were last looked at, beside the loop: `ip` is a process, and a pass does not wait for one. Looks
// again when something new is asked, some seconds later to see what others change, and after each change of ours.
import type { Log } from '../process/log.ts'
import type { HostLink, HostLinks, LinkChange, LinkChanged, LinkIdentity } from './host-links.ts'
import type { MonotonicClock } from './monotonic-clock.ts'

export type LinksView =
  /** `asked`: the questions that it was made for. */
  | { readonly kind: 'seen'; readonly asked: ReadonlySet<string>; readonly links: readonly HostLink[] }
  | { readonly kind: 'failed'; readonly message: string }

/** How soon a change by others is seen. A look costs a process of 2 ms. */
const lookEveryMs = 2_000

export interface NodeLinksOptions {
  readonly links: HostLinks
  readonly clock: MonotonicClock
  readonly log: Log
  readonly onLook: () => void
}

export class NodeLinks {
  readonly #options: NodeLinksOptions
  #view: LinksView | undefined
  #looking = false
  #lookedAt = Number.NEGATIVE_INFINITY
  /** Changes with every change of a link: a look that began before shows what is not so any more. */
  #changes = 0

  constructor(options: NodeLinksOptions) {
    this.#options = options
  }

  /** undefined until the first look, and again after a change until the next one. */
  get view(): LinksView | undefined {
    return this.#view
  }

  /** `asked` names the interfaces that matter now; nothing is looked at while there are none. */
  keepLooking(asked: ReadonlySet<string>): void {
    const { clock } = this.#options
    if (asked.size === 0 || this.#looking) return
    const view = this.#view
    const isAnswered =
      view?.kind === 'failed' || (view?.kind === 'seen' && [...asked].every((question) => view.asked.has(question)))
    if (isAnswered && clock.monotonic() - this.#lookedAt < lookEveryMs) return
    this.#looking = true
    void this.#look(asked)
  }

  async change(link: LinkIdentity, changes: readonly LinkChange[]): Promise<LinkChanged> {
    try {
      return await this.#options.links.change(link, changes)
    } finally {
      this.#changes++
      this.#view = undefined
    }
  }

  /** A look of its own, for a step that cannot go by an earlier one. */
  show(): ReturnType<HostLinks['show']> {
    return this.#options.links.show()
  }

  async #look(asked: ReadonlySet<string>): Promise<void> {
    const { links, clock, log, onLook } = this.#options
    const changes = this.#changes
    this.#lookedAt = clock.monotonic()
    const shown = await links.show().catch((error: unknown) => ({ kind: 'failed' as const, message: String(error) }))
    this.#looking = false
    if (changes !== this.#changes) return onLook()
    if (shown.kind === 'failed' && this.#view?.kind !== 'failed') {
      log.warn({ reason: shown.message }, 'interfaces of the node not read')
    }
    this.#view = shown.kind === 'failed' ? shown : { kind: 'seen', asked, links: shown.links }
    onLook()
  }
}
