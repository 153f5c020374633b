// One process of the attacher in the lab: the real controllers, under the real leader lease when there is one. It may be killed, be
// stopped as a rollout stops it, lose its API server, or meet its death at one of its calls.
import { pino } from 'pino'

import type { VirtualClock } from '../../../sim/clock/virtual-clock.ts'
import { inProcess } from '../../../sim/ec2/in-process.ts'
import type { Ec2 } from '../../../sim/ec2/new-ec2.ts'
import { Controllers } from '../../../src/attacher/controllers.ts'
import { type Ec2Observer, requestTimeoutMs } from '../../../src/attacher/ec2-connection.ts'
import { Ec2Gate } from '../../../src/attacher/ec2-gate.ts'
import type { AttacherMetrics } from '../../../src/attacher/metrics.ts'
import type { AttacherSettings } from '../../../src/attacher/settings.ts'
import { EventRecorder } from '../../../src/kube/event-recorder.ts'
import { LeaderLease, leaseTiming } from '../../../src/kube/leader-lease.ts'
import type { ApiDouble } from '../../kube-api/api-double.ts'
import { InProcessCluster } from '../../kube-api/in-process-cluster.ts'
import { type AccessOptions, ec2Access } from '../ec2-access.ts'
import { CrashPoint, type Death, mortalClock, mortalCluster, mortalEc2 } from './crash-point.ts'

const log = pino({ level: process.env['LOG_LEVEL'] ?? 'silent' })
const leaseName = { namespace: 'jit-eni', name: 'jit-eni-attacher' }
/** Rarer than in a cluster: a renewal changes nothing, and takes time of every run. */
const retryMs = 4_000
export const leaseKey = `${leaseName.namespace}/${leaseName.name}`

export interface AttacherProcessParts {
  readonly identity: string
  readonly clock: VirtualClock
  readonly ec2: Ec2
  readonly api: ApiDouble
  readonly settings: AttacherSettings
  readonly limits: AccessOptions['limits']
  readonly metrics: AttacherMetrics
  readonly death: Death | undefined
  /** Whether it leads only while it holds the lease. */
  readonly hasLease: boolean
  readonly onDeath: () => void
  readonly onBroken: (what: string) => void
}

export class AttacherProcess {
  readonly #parts: AttacherProcessParts
  readonly #point: CrashPoint
  readonly #stop = new AbortController()

  constructor(parts: AttacherProcessParts) {
    this.#parts = parts
    this.#point = new CrashPoint(parts.death, () => {
      if (this.#point.isDead) this.kill()
      parts.onDeath()
    })
    this.#run().catch((error: unknown) => {
      // Without an API server it ends as a leader that has lost its lease.
      if (!this.#point.isCutOff) parts.onBroken(`the attacher ended: ${String(error)}`)
    })
  }

  get identity(): string {
    return this.#parts.identity
  }

  get calls(): readonly string[] {
    return this.#point.calls
  }

  /** The call at which its death came. */
  get diedAt(): string | undefined {
    return this.#point.diedAt
  }

  get isDead(): boolean {
    return this.#point.isDead
  }

  /** What it has begun is not ended. */
  kill(): void {
    this.#point.kill()
    this.#stop.abort()
  }

  /** As SIGTERM does. */
  stop(): void {
    this.#stop.abort()
  }

  /** It lives on, and the API server does not answer it any more. */
  cutOff(): void {
    this.#point.cutOff()
  }

  async #run(): Promise<void> {
    const { api, ec2, limits, settings, metrics, identity, hasLease } = this.#parts
    const clock = mortalClock(this.#parts.clock, this.#point)
    const cluster = mortalCluster(new InProcessCluster(api), this.#point)
    const client = inProcess(ec2, { requestTimeoutMs })
    const gate = new Ec2Gate(clock)
    const counted = metrics.ec2Observer
    const observer: Ec2Observer = {
      ...counted,
      waited: (action, urgency, seconds) => {
        this.#checkLead(action)
        counted.waited(action, urgency, seconds)
      },
    }
    const controllers = new Controllers({
      cluster,
      ec2: mortalEc2(ec2Access({ gate, clock, client, observer, ...(limits && { limits }) }), this.#point),
      gate,
      events: new EventRecorder(cluster, 'jit-eni-attacher', log, clock),
      settings,
      metrics,
      clock,
      log,
    })
    const lead = (signal: AbortSignal) => controllers.run(signal)
    if (!hasLease) return lead(this.#stop.signal)
    const options = { ...leaseName, ...leaseTiming, retryMs, identity }
    await new LeaderLease(cluster, options, log, clock).run(this.#stop.signal, lead)
  }

  /** Asked for each call that is about to be made: only the holder of the lease makes any, and only while nobody may take it. */
  #checkLead(action: string): void {
    const { hasLease, api, clock, identity, onBroken } = this.#parts
    // What it had begun when it died is on its way.
    if (!hasLease || this.isDead) return
    const spec = api.store('leases').get(leaseKey)?.['spec'] as
      | { holderIdentity: string; renewTime: string }
      | undefined
    // The stamp has no fractions of a millisecond.
    const ageMs = Math.floor(clock.now()) - Date.parse(spec?.renewTime ?? '')
    if (spec?.holderIdentity !== identity) onBroken(`${identity} calls ${action}, and ${spec?.holderIdentity} leads`)
    else if (ageMs > (leaseTiming.durationMs * 2) / 3)
      onBroken(`${identity} calls ${action}, and its lease is running out`)
  }
}
