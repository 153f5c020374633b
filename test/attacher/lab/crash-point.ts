// A process that dies between two of its calls: the nth of its EC2 calls and Kubernetes writes is not made any more, or is made and
// its answer never seen, and nothing of this process is ever heard again.
import type { V1Lease } from '@kubernetes/client-node'

import type { Ec2, Ec2Access } from '../../../src/attacher/ec2.ts'
import type { KubeClient } from '../../../src/kube/cluster.ts'
import { KubeError } from '../../../src/kube/kube-error.ts'
import type { Clock } from '../../../src/process/clock.ts'

/** A new one each time: what waits for a promise that lives on lives on with it. */
const never = () => new Promise<never>(() => undefined)

export interface Death {
  /** The call, counted from 1. */
  readonly at: number
  /** `cut`: from this call on the API server does not answer it any more; it does not die of that itself. */
  readonly when: 'before' | 'after' | 'cut'
}

export class CrashPoint {
  readonly #death: Death | undefined
  readonly #onDeath: () => void
  /** Every call that was begun, by name. */
  readonly calls: string[] = []
  isDead = false
  isCutOff = false
  /** The call at which its `death` came. */
  diedAt: string | undefined

  /** Without `death` it lives. */
  constructor(death: Death | undefined, onDeath: () => void) {
    this.#death = death
    this.#onDeath = onDeath
  }

  async pass<T>(name: string, call: () => Promise<T>): Promise<T> {
    if (this.isDead) return never()
    this.calls.push(name)
    const when = this.calls.length === this.#death?.at ? this.#death.when : undefined
    if (when === 'before') return this.#die(name)
    if (when === 'cut') this.#loseApi(name)
    const outcome = call()
    if (when === 'after') {
      await outcome.catch(() => undefined)
      return this.#die(name)
    }
    try {
      return await outcome
    } finally {
      // A finally that never ends keeps both the answer and the error from the dead.
      if (this.isDead) await never()
    }
  }

  /** Somebody else ends it. */
  kill(): void {
    this.isDead = true
  }

  cutOff(): void {
    this.isCutOff = true
  }

  #loseApi(call: string): void {
    this.cutOff()
    this.diedAt = call
    this.#onDeath()
  }

  #die(call: string): Promise<never> {
    this.isDead = true
    this.diedAt = call
    this.#onDeath()
    return never()
  }
}

/** EC2 as the mortal process sees it. */
export function mortalEc2(access: Ec2Access, point: CrashPoint): Ec2Access {
  return (urgency, signal) =>
    new Proxy(access(urgency, signal), {
      get(target, name: keyof Ec2 & string) {
        const method = target[name].bind(target) as (...args: unknown[]) => Promise<unknown>
        return (...args: unknown[]) => point.pass(name, () => method(...args))
      },
    })
}

/** Kubernetes as the mortal process sees it. An event is no step, since nothing depends on it; nor is one more renewal of a lease. */
export function mortalCluster(cluster: KubeClient, point: CrashPoint): KubeClient {
  return {
    request(method, path, options) {
      if (point.isDead) return never()
      if (point.isCutOff) return unanswered(options?.signal)
      const send = () => (point.isCutOff ? unanswered(options?.signal) : cluster.request(method, path, options))
      if (method === 'GET' || path.endsWith('/events') || isRenewal(options?.body)) return send()
      return point.pass(`${method} ${path}`, send)
    },
    async *lines(path, options) {
      for await (const line of cluster.lines(path, options)) {
        if (point.isCutOff) await unanswered(options.signal)
        yield line
      }
    },
  } as KubeClient
}

function unanswered(signal: AbortSignal | undefined): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = () => reject(new KubeError('request', 0, 'Unreachable', 'no answer: it is cut off', signal?.reason))
  if (signal?.aborted === true) abort()
  else signal?.addEventListener('abort', abort, { once: true })
  return promise
}

function isRenewal(body: object | undefined): boolean {
  const { kind, spec } = (body ?? {}) as Partial<V1Lease>
  return kind === 'Lease' && spec?.holderIdentity !== '' && spec?.acquireTime !== spec?.renewTime
}

export function mortalClock(clock: Clock, point: CrashPoint): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after: (ms, callback) => clock.after(ms, () => point.isDead || callback()),
  }
}
