// The pods that ask for managed devices and have not ended, whichever scheduler they have: who holds a device, who on a node has yet to
// get one, and whose claim outlives its pod.
import { NameIndex } from '../kube/name-index.ts'
import type { DemandingPod } from '../kube/objects.ts'

/** A claim outlives its pod by moments, or until the device plugin is back; no more pods than these end meanwhile. */
const endedMax = 10_000

export class PodBook {
  readonly #pods = new Map<string, DemandingPod>()
  readonly #byNode = new NameIndex<DemandingPod>(({ nodeName }) => nodeName)
  readonly #byUID = new NameIndex<DemandingPod>(({ uid }) => uid)
  /** UIDs, the longest ended first. */
  readonly #ended = new Set<string>()

  get(key: string): DemandingPod | undefined {
    return this.#pods.get(key)
  }

  /** Keys are `namespace/name`; undefined: the pod has ended, or is gone. */
  set(key: string, pod: DemandingPod | undefined): void {
    const before = this.#pods.get(key)
    if (pod === undefined) this.#pods.delete(key)
    else this.#pods.set(key, pod)
    this.#byNode.changed(key, pod, before)
    this.#byUID.changed(key, pod, before)
    if (before !== undefined && before.uid !== pod?.uid) this.#end(before.uid)
  }

  /** Those bound to the node. */
  on(nodeName: string): DemandingPod[] {
    return this.#byNode.names(nodeName).flatMap((key) => this.#pods.get(key) ?? [])
  }

  /**
   * Whether the pod of a claim is known to need nothing of this node any more: it has ended, or is bound to another one. One of which
   * we have not heard yet may only be new.
   */
  isOver(podUID: string, nodeName: string): boolean {
    if (this.#ended.has(podUID)) return true
    const [key = ''] = this.#byUID.names(podUID)
    const boundTo = this.#pods.get(key)?.nodeName
    return boundTo !== undefined && boundTo !== nodeName
  }

  #end(uid: string): void {
    this.#ended.add(uid)
    const [first] = this.#ended
    if (this.#ended.size > endedMax && first !== undefined) this.#ended.delete(first)
  }
}
