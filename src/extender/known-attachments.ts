// What is known of each ENIAttachment: what the watch says and, ahead of it, our own writes until the watch has caught up with them.
// No clock decides that, since a watch may be cut for any time: a write is over when its object is shown as we left it or later, when
// it is shown to be gone, or when a whole list that is newer does not have it. A missed event is healed by the next list, and until
// then the newest version that anybody told counts.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import type { UnreadableAttachment } from '../kube/objects.ts'

export type KnownAttachment = ENIAttachment | UnreadableAttachment

/** Answers to our writes come within seconds; no more objects than these go meanwhile. */
const goneMax = 10_000

export class KnownAttachments {
  readonly #watched = new Map<string, KnownAttachment>()
  readonly #written = new Map<string, ENIAttachment>()
  /** UIDs, the longest gone first: the answer to a write may come after the watch has shown the end of the object. */
  readonly #gone = new Set<string>()
  #listedVersion = '0'

  get(name: string): KnownAttachment | undefined {
    return this.#written.get(name) ?? this.#watched.get(name)
  }

  /** What the watch, or a list, says; undefined: the object is gone. What is older than the last that it said is left out. */
  watched(name: string, event: KnownAttachment | undefined): void {
    const last = this.#watched.get(name)
    const written = this.#written.get(name)
    if (event === undefined) {
      this.#watched.delete(name)
      if (last === undefined) return
      this.#bury(last.metadata.uid)
      // A name may come back: our write may be of its next bearer.
      if (written?.metadata.uid === last.metadata.uid) this.#written.delete(name)
      return
    }
    if (this.#gone.has(event.metadata.uid) || (last !== undefined && !isAfter(event, last.metadata.resourceVersion)))
      return
    this.#watched.set(name, isReadable(event) ? event : located(event, this.get(name)))
    if (last !== undefined && last.metadata.uid !== event.metadata.uid) this.#bury(last.metadata.uid)
    if (written !== undefined && !isOlder(event, written)) this.#written.delete(name)
  }

  /** The API server's answer to our own write or read. One that comes late, behind what is known already, is left out. */
  wrote(answer: ENIAttachment): void {
    const { name, uid } = answer.metadata
    if (this.#gone.has(uid)) return
    const shown = this.#watched.get(name)?.metadata.resourceVersion ?? this.#listedVersion
    if (!isAfter(answer, shown)) return
    const written = this.#written.get(name)
    if (written === undefined || isOlder(written, answer)) this.#written.set(name, answer)
  }

  /** A whole list, of this version, has been told. Returns the writes that it shows to be over. */
  listed(version: string): ENIAttachment[] {
    this.#listedVersion = version
    const over = [...this.#written.values()].filter((written) => !isAfter(written, version))
    for (const { metadata } of over) this.#written.delete(metadata.name)
    return over
  }

  #bury(uid: string): void {
    this.#gone.add(uid)
    const [first] = this.#gone
    if (this.#gone.size > goneMax && first !== undefined) this.#gone.delete(first)
  }
}

/** Where an object is does not change: what cannot be read of it now is as it was. */
function located(event: UnreadableAttachment, before: KnownAttachment | undefined): UnreadableAttachment {
  const was = before?.metadata.uid === event.metadata.uid ? placeOf(before) : undefined
  const { nodeName = was?.nodeName, instanceID = was?.instanceID, nodeENI = was?.nodeENI } = event.place
  return { ...event, place: { nodeName, instanceID, nodeENI } }
}

export function isReadable(known: KnownAttachment): known is ENIAttachment {
  return 'spec' in known
}

export function placeOf(known: KnownAttachment): UnreadableAttachment['place'] {
  return isReadable(known) ? known.spec : known.place
}

function isOlder(a: KnownAttachment, b: KnownAttachment): boolean {
  return compareVersions(a.metadata.resourceVersion, b.metadata.resourceVersion) < 0
}

function isAfter({ metadata }: KnownAttachment, version: string): boolean {
  return compareVersions(metadata.resourceVersion, version) > 0
}

/** Resource versions of one resource are decimal numbers without leading zeros, of any length (KEP-5504, GA in Kubernetes 1.35). */
function compareVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : Number(a > b)
}
