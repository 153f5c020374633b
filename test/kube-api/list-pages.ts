// Lists in pages. All pages of a list show the moment of the first, whatever is written meanwhile, so that a watch from there
// misses nothing.
import { badRequest } from './refusal.ts'
import type { KubeObject } from './resources.ts'

interface Listed {
  readonly items: readonly KubeObject[]
  readonly version: number
}

export interface Page extends Listed {
  /** Token of the next page. */
  readonly next: string | undefined
}

export class ListPages {
  readonly #left = new Map<string, Listed>()

  first(items: readonly KubeObject[], version: number, limit: number): Page {
    return this.#page({ items, version }, limit)
  }

  /** @throws Refusal 400 */
  next(token: string, limit: number): Page {
    const left = this.#left.get(token)
    if (left === undefined) throw badRequest(`invalid continue token: ${token}`)
    return this.#page(left, limit)
  }

  #page({ items, version }: Listed, limit: number): Page {
    if (items.length <= limit) return { items, version, next: undefined }
    const next = `page-${this.#left.size + 1}`
    this.#left.set(next, { items: items.slice(limit), version })
    return { items: items.slice(0, limit), version, next }
  }
}
