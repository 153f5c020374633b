// What the API server puts on objects: resource versions, uids, the ends of generated names, and times. All of it but the time is
// counted, so that two runs of the same test see the same.
import type { Clock } from '../../src/process/clock.ts'

/** Those of k8s.io/apimachinery/pkg/util/rand: no vowels, so that no word comes out. */
const nameCharacters = 'bcdfghjklmnpqrstvwxz2456789'
const suffixLength = 5

export class Stamps {
  readonly #clock: Pick<Clock, 'now'>
  #version = 0
  #uids = 0
  #names = 0

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  /** The latest resource version of all objects. */
  get version(): number {
    return this.#version
  }

  nextVersion(): number {
    return ++this.#version
  }

  uid(): string {
    const count = (++this.#uids).toString(16)
    return `${count.padStart(8, '0')}-0000-4000-8000-${count.padStart(12, '0')}`
  }

  nameSuffix(): string {
    let rest = ++this.#names
    let suffix = ''
    while (suffix.length < suffixLength) {
      suffix = nameCharacters[rest % nameCharacters.length] + suffix
      rest = Math.floor(rest / nameCharacters.length)
    }
    return suffix
  }

  /** metav1.Time has whole seconds. */
  time(inSeconds = 0): string {
    return `${new Date(this.#clock.now() + inSeconds * 1000).toISOString().slice(0, 19)}Z`
  }
}
