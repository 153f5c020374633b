// A process that dies between two of its calls: the nth EC2 call or Kubernetes write is done, its answer is never seen, and nothing
// of this process is ever heard again.
import type { Ec2 } from '../../src/attacher/ec2.ts'
import { Cluster, type RequestOptions } from '../../src/kube/cluster.ts'

const never = new Promise<never>(() => undefined)

export class CrashPoint {
  readonly #at: number
  readonly #crashed = Promise.withResolvers<void>()
  #passed = 0
  /** The call that was the last; undefined: it lives. */
  lastCall: string | undefined

  /** @param at the call, counted from 1, after which the process is dead; Infinity: it lives. */
  constructor(at: number) {
    this.#at = at
  }

  /** Resolves when the process has died. */
  get crashed(): Promise<void> {
    return this.#crashed.promise
  }

  /** @param call makes one call; its outcome is not passed on when it was the last. */
  async pass<T>(name: string, call: () => Promise<T>): Promise<T> {
    if (this.#passed >= this.#at) return never
    this.#passed++
    const isLast = this.#passed === this.#at
    const outcome = call()
    if (!isLast) return outcome
    this.lastCall = name
    await outcome.catch(() => undefined)
    this.#crashed.resolve()
    return never
  }
}

/** EC2 as the dying process sees it. Describes change nothing, so dying after one is as dying before the next call. */
export function crashingEc2(ec2: Ec2, point: CrashPoint): Ec2 {
  return new Proxy(ec2, {
    get(target, name: keyof Ec2 & string) {
      const method = target[name].bind(target) as (...args: unknown[]) => Promise<unknown>
      if (name.startsWith('describe')) return method
      return (...args: unknown[]) => point.pass(name, () => method(...args))
    },
  })
}

export class CrashingCluster extends Cluster {
  readonly #point: CrashPoint

  constructor(kubeconfig: string, point: CrashPoint) {
    super(kubeconfig)
    this.#point = point
  }

  override request<T>(method: Parameters<Cluster['request']>[0], path: string, options?: RequestOptions): Promise<T> {
    const isStep = method !== 'GET' && !path.endsWith('/events')
    if (!isStep) return super.request<T>(method, path, options)
    return this.#point.pass(`${method} ${path}`, () => super.request<T>(method, path, options))
  }
}
