// Whether the instance that an ENI was made for is still there. A node name proves nothing: it comes back for other instances; nor
// does a Node object that is gone: the instance may run. Before anything is taken, EC2 is asked.
import type { Place } from '../api/eni-attachment.ts'
import type { Informer } from '../kube/informer.ts'
import type { NodeFacts } from '../kube/objects.ts'
import type { Clock } from '../process/clock.ts'
import type { AttachmentStore } from './attachment-store.ts'
import { consistencyMs } from './ec2.ts'
import type { Inventory } from './inventory.ts'

/** An instance on its way from one state to another is looked at so often. */
const lookMs = 30_000
/** States that last: that they have ended shows in the next sweep (node-sweep.ts), which is never longer away. */
const lasting: ReadonlySet<string> = new Set(['running', 'stopped'])
const lastingMs = 5 * 60_000

export interface InstanceLifeParts {
  readonly inventory: Inventory
  readonly nodes: Informer<NodeFacts>
  readonly store: AttachmentStore
  readonly clock: Clock
}

export class InstanceLife {
  readonly #parts: InstanceLifeParts
  readonly #asked = new Set<string>()
  #looking: Promise<void> | undefined

  constructor(parts: InstanceLifeParts) {
    this.#parts = parts
  }

  /** By what we know, which may be old. */
  mayBeOver(place: Place): boolean {
    const { inventory } = this.#parts
    if (!this.#hasNode(place)) return true
    return inventory.isLookedUp(place.instanceID) && inventory.instance(place.instanceID)?.state !== 'running'
  }

  /**
   * EC2's word for its state, not older than the next sweep or, while it changes, than half a minute; `terminated` also for an
   * instance that EC2 has not shown for a while, and `unknown` until then. @throws Ec2Error
   */
  async state(place: Place): Promise<string> {
    const last = this.#parts.inventory.lastLook(place.instanceID)
    return this.#state(place, lasting.has(last?.state ?? '') ? lastingMs : lookMs)
  }

  /**
   * As `state`, for who is about to take something from the instance: of half a minute ago at most. A node that is there with an
   * instance that ran at the last sweep is alive, and EC2 is not asked. @throws Ec2Error
   */
  async stateNow(place: Place): Promise<string> {
    const isRunning = this.#parts.inventory.instance(place.instanceID)?.state === 'running'
    return isRunning && this.#hasNode(place) ? 'running' : this.#state(place, lookMs)
  }

  /** Whatever we know: something has happened on the instance. @throws Ec2Error */
  async isEnding(place: Place): Promise<boolean> {
    return ['shutting-down', 'terminated'].includes(await this.#state(place, lookMs))
  }

  /** EC2 has called it terminated, at the last look, for so long that it shows all that has come of it. */
  isLongOver({ instanceID }: Place): boolean {
    const { inventory, clock } = this.#parts
    const last = inventory.lastLook(instanceID)
    return last?.state === 'terminated' && clock.monotonic() - last.sinceMs >= consistencyMs
  }

  async #state({ instanceID }: Place, goodMs: number): Promise<string> {
    const { inventory, clock } = this.#parts
    const since = clock.monotonic() - goodMs
    for (;;) {
      const last = inventory.lastLook(instanceID)
      if (last !== undefined && last.atMs >= since) return last.state
      this.#asked.add(instanceID)
      await this.#look()
    }
  }

  #hasNode({ nodeName, instanceID }: Place): boolean {
    return this.#parts.nodes.get(nodeName)?.instanceID === instanceID
  }

  /** One describe for all whose life is in doubt, however many of them ask. */
  #look(): Promise<void> {
    this.#looking ??= this.#lookAtAll().finally(() => (this.#looking = undefined))
    return this.#looking
  }

  async #lookAtAll(): Promise<void> {
    const { inventory, store } = this.#parts
    const inDoubt = store.all().filter(({ spec }) => this.mayBeOver(spec))
    const ids = new Set([...this.#asked, ...inDoubt.map(({ spec }) => spec.instanceID)])
    this.#asked.clear()
    await inventory.look([...ids], 'release')
  }
}
