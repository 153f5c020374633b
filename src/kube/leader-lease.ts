// Leader election on a coordination.k8s.io Lease, with client-go's rules: renew or step down before anyone may take over.
import type { V1Lease } from '@kubernetes/client-node'

import { type Clock, realClock, sleep, timestamp } from '../process/clock.ts'
import type { Log } from '../process/log.ts'
import type { KubeClient } from './cluster.ts'
import { isConflict, isNotFound } from './kube-error.ts'
import { leasePath, leasesPath } from './resource.ts'

/** Of `retryMs`, by which candidates wait longer at most, so that they do not all ask at once (client-go: JitterFactor). */
const jitterFactor = 1.2

/** Of client-go's controllers. */
export const leaseTiming = { durationMs: 15_000, retryMs: 2_000 }

export interface LeaseOptions {
  readonly namespace: string
  readonly name: string
  /** Unique per process, such as pod name plus a random part. */
  readonly identity: string
  /** A lease that was not renewed for this long may be taken. */
  readonly durationMs: number
  readonly retryMs: number
}

/** Times are read from our own clock only: clocks of machines may differ (client-go leaderelection.go). */
interface Observed {
  readonly holder: string
  readonly renewTime: string
  readonly atMs: number
}

class LostLease extends Error {}

export class LeaderLease {
  readonly #cluster: Pick<KubeClient, 'request'>
  readonly #options: LeaseOptions
  readonly #log: Log
  readonly #clock: Clock
  #observed: Observed | undefined
  #trouble: string | undefined = 'the leader lease has not been read yet'

  constructor(cluster: Pick<KubeClient, 'request'>, options: LeaseOptions, log: Log, clock: Clock = realClock) {
    this.#cluster = cluster
    this.#options = options
    this.#log = log
    this.#clock = clock
  }

  /** Why it could not be read or written at the last try, in one line. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /**
   * Waits to become leader, then leads. Ends when the signal aborts and the work has ended. A lost lease is an error at once,
   * whatever the work still does: somebody else may lead from then on, so the process must die.
   */
  async run(signal: AbortSignal, lead: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const heldSince = await this.#waitForLease(signal)
    if (heldSince === undefined) return
    this.#log.info({ identity: this.#options.identity }, 'became leader')
    const term = new AbortController()
    const leading = lead(AbortSignal.any([signal, term.signal]))
    // Also while the work is being stopped.
    const renewing = this.#renewUntilLost(heldSince, term.signal)
    try {
      await Promise.race([leading, renewing])
    } catch (error) {
      if (error instanceof LostLease) {
        term.abort()
        throw error
      }
    }
    term.abort()
    await renewing.catch(() => undefined)
    await this.#release()
    await leading
  }

  async #waitForLease(signal: AbortSignal): Promise<number | undefined> {
    while (!signal.aborted) {
      const heldSince = await this.#tryHold(signal)
      if (heldSince !== undefined) return heldSince
      await sleep(this.#clock, this.#options.retryMs * (1 + jitterFactor * Math.random()), signal)
    }
    return undefined
  }

  async #renewUntilLost(heldSince: number, signal: AbortSignal): Promise<void> {
    const { durationMs, retryMs, name } = this.#options
    // A third of the lease is kept as the time in which the old leader dies before a new one may start.
    const deadlineMs = (durationMs * 2) / 3
    let renewedAt = heldSince
    const leftMs = () => Math.max(0, renewedAt + deadlineMs - this.#clock.monotonic())
    while (!signal.aborted) {
      await sleep(this.#clock, Math.min(retryMs, leftMs()), signal)
      if (signal.aborted) return
      if (leftMs() === 0) throw new LostLease(`lost the leader lease ${name}`)
      // A renewal that hangs must not outlast the deadline: somebody else may lead from then on.
      const renewed = await this.#within(leftMs(), (late) => this.#tryHold(AbortSignal.any([signal, late])))
      renewedAt = renewed ?? renewedAt
    }
  }

  async #within<T>(ms: number, work: (late: AbortSignal) => Promise<T>): Promise<T> {
    const late = new AbortController()
    const cancel = this.#clock.after(ms, () => late.abort())
    try {
      return await work(late.signal)
    } finally {
      cancel()
    }
  }

  /** Answers the time from which the lease counts as ours, that before it was written: the answer may come late. */
  async #tryHold(signal: AbortSignal): Promise<number | undefined> {
    const { name } = this.#options
    try {
      const heldSince = await this.#hold(signal)
      this.#trouble = undefined
      return heldSince
    } catch (error) {
      if (signal.aborted || isConflict(error)) return undefined
      this.#trouble = `the leader lease ${name} is not to be had: ${error instanceof Error ? error.message : String(error)}`
      this.#log.warn({ lease: name, err: error }, 'leader lease not written')
      return undefined
    }
  }

  async #hold(signal: AbortSignal): Promise<number | undefined> {
    const { namespace, name } = this.#options
    const path = leasePath(namespace, name)
    const lease = await this.#cluster.request<V1Lease>('GET', path, { signal }).catch((error: unknown) => {
      if (isNotFound(error)) return undefined
      throw error
    })
    if (lease !== undefined && !this.#mayTake(lease)) return undefined
    const writtenAt = this.#clock.monotonic()
    const body = this.#body(lease)
    if (lease === undefined) await this.#cluster.request('POST', leasesPath(namespace), { body, signal })
    else await this.#cluster.request('PUT', path, { body, signal })
    return writtenAt
  }

  #mayTake({ spec }: V1Lease): boolean {
    const holder = spec?.holderIdentity ?? ''
    if (holder === '' || holder === this.#options.identity) return true
    const renewTime = String(spec?.renewTime)
    if (this.#observed?.holder !== holder || this.#observed.renewTime !== renewTime) {
      this.#observed = { holder, renewTime, atMs: this.#clock.monotonic() }
    }
    const allowedMs = (spec?.leaseDurationSeconds ?? 0) * 1000
    return this.#clock.monotonic() - this.#observed.atMs > allowedMs
  }

  #body(previous: V1Lease | undefined): object {
    const { identity, durationMs, name } = this.#options
    const now = microTime(this.#clock)
    const same = previous?.spec?.holderIdentity === identity
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name,
        ...(previous?.metadata?.resourceVersion && { resourceVersion: previous.metadata.resourceVersion }),
      },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(durationMs / 1000),
        acquireTime: same ? previous.spec?.acquireTime : now,
        renewTime: now,
        leaseTransitions: (previous?.spec?.leaseTransitions ?? 0) + (same ? 0 : 1),
      },
    }
  }

  /** So that the next leader need not wait for the lease to run out. */
  async #release(): Promise<void> {
    const { namespace, name, identity, durationMs } = this.#options
    const path = leasePath(namespace, name)
    try {
      await this.#within(durationMs, async (signal) => {
        const lease = await this.#cluster.request<V1Lease>('GET', path, { signal })
        if (lease.spec?.holderIdentity !== identity) return
        const body = { ...lease, spec: { ...lease.spec, holderIdentity: '' } }
        await this.#cluster.request('PUT', path, { body, signal })
      })
    } catch (error) {
      this.#log.warn({ lease: name, err: error }, 'leader lease not released; it runs out by itself')
    }
  }
}

/** metav1.MicroTime wants six decimals. */
function microTime(clock: Clock): string {
  return timestamp(clock).replace('Z', '000Z')
}
