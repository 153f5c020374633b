// The attacher's real controllers and the real SDK on a virtual clock, over the simulated EC2 and a Kubernetes API in this process,
// with what happens on the nodes (nodes-stand-in.ts). The attacher dies where it is told to, and another takes over.
import { pino } from 'pino'

import { VirtualClock } from '../../../sim/clock/virtual-clock.ts'
import { inProcess } from '../../../sim/ec2/in-process.ts'
import { type Ec2, type Ec2Options, newEc2 } from '../../../sim/ec2/new-ec2.ts'
import type { PluggedCard } from '../../../sim/ec2/state/hypervisor.ts'
import type { ENIAttachment } from '../../../src/api/eni-attachment.ts'
import { Controllers } from '../../../src/attacher/controllers.ts'
import { requestTimeoutMs } from '../../../src/attacher/ec2-connection.ts'
import { Ec2Gate } from '../../../src/attacher/ec2-gate.ts'
import { AttacherMetrics } from '../../../src/attacher/metrics.ts'
import { type AttacherSettings, attacherSettings } from '../../../src/attacher/settings.ts'
import { EventRecorder } from '../../../src/kube/event-recorder.ts'
import { ApiDouble } from '../../kube-api/api-double.ts'
import { InProcessCluster } from '../../kube-api/in-process-cluster.ts'
import { attacherWorld, resource } from '../attacher-world.ts'
import { type AccessOptions, ec2Access } from '../ec2-access.ts'
import { Scene } from '../scene.ts'
import { CrashPoint, type Death, mortalClock, mortalCluster, mortalEc2 } from './crash-point.ts'
import { brokenInTheEnd, brokenNow } from './invariants.ts'
import { NodesStandIn } from './nodes-stand-in.ts'

const log = pino({ level: process.env['LOG_LEVEL'] ?? 'silent' })
const defaultSettings = attacherSettings({
  JIT_ENI_RESOURCES: `${resource},intel.com/other`,
  JIT_ENI_CLUSTER: 'test-cluster',
})
/** As soon as a restarted process can be there: EC2 has forgotten none of its lag. */
const takeOverMs = 1_000

export interface LabOptions {
  readonly ec2?: Partial<Ec2Options>
  readonly settings?: Partial<AttacherSettings>
  readonly limits?: AccessOptions['limits']
  /**
   * When a node sees the card of an ENI: as soon as EC2 has put it into the guest (`deviceMs`), as on a real node, or only when
   * the attacher says `attached`, which is later.
   */
  readonly cards?: 'in the guest' | 'when attached'
  /** Whether each change of EC2 is looked at for what must never be; at a thousand ENIs that takes minutes. */
  readonly watchfulness?: 'every change' | 'only the end'
}

export class Lab {
  readonly clock = new VirtualClock()
  readonly ec2: Ec2
  readonly api: ApiDouble
  readonly scene: Scene
  /** What was not as it must be, at any moment so far. */
  readonly violations = new Set<string>()
  /** Of all attachers, one after the other. */
  readonly metrics = new AttacherMetrics()
  readonly #options: LabOptions
  #running: { readonly point: CrashPoint; readonly stop: AbortController } | undefined

  constructor(options: LabOptions = {}) {
    this.#options = options
    // Instances are launched, and their first cards plugged, before there is anybody to look.
    let onPlug = (_eniID: string) => {}
    const hypervisor = { plug: (_instanceID: string, { eniId }: PluggedCard) => onPlug(eniId), unplug: () => {} }
    this.ec2 = newEc2({ world: attacherWorld, clock: this.clock, hypervisor, ...options.ec2 })
    this.api = new ApiDouble({ clock: this.clock })
    this.scene = new Scene(this.api, this.ec2)
    const nodes = new NodesStandIn({ scene: this.scene, hasCard: this.#hasCard(), hold: () => this.clock.hold() })
    onPlug = (eniID) => nodes.plugged(eniID)
    if (options.watchfulness === 'only the end') return
    const look = () => brokenNow(this.scene).forEach((what) => this.violations.add(what))
    this.ec2.state.watch(look)
    this.api.store('eniattachments').onChange(look)
  }

  /** Starts an attacher, in place of the one that runs. Answers what it does and how it ends. */
  startAttacher(fate?: Death): Pick<CrashPoint, 'calls' | 'diedAt'> {
    this.stopAttacher()
    const stop = new AbortController()
    const point = new CrashPoint(fate, () => {
      stop.abort()
      this.clock.after(takeOverMs, () => this.startAttacher())
    })
    this.#running = { point, stop }
    const clock = mortalClock(this.clock, point)
    const cluster = mortalCluster(new InProcessCluster(this.api), point)
    const { settings, limits } = this.#options
    const client = inProcess(this.ec2, { requestTimeoutMs })
    const gate = new Ec2Gate(clock)
    const { ec2Observer: observer } = this.metrics
    const controllers = new Controllers({
      cluster,
      ec2: mortalEc2(ec2Access({ gate, clock, client, observer, ...(limits && { limits }) }), point),
      gate,
      events: new EventRecorder(cluster, 'jit-eni-attacher', log, clock),
      settings: { ...defaultSettings, ...settings },
      metrics: this.metrics,
      clock,
      log,
    })
    controllers.run(stop.signal).catch((error: unknown) => this.violations.add(`the attacher ended: ${String(error)}`))
    return point
  }

  /** As a kill does: what it has begun is not ended. */
  stopAttacher(): void {
    this.#running?.point.kill()
    this.#running?.stop.abort()
    this.#running = undefined
  }

  /** Adds to the violations what must not be when every program runs and EC2 has settled. */
  checkEnd(): void {
    for (const what of brokenInTheEnd(this.scene)) this.violations.add(`in the end: ${what}`)
  }

  #hasCard(): (attachment: ENIAttachment) => boolean {
    if (this.#options.cards !== 'in the guest') return ({ status }) => status?.eni?.attached === true
    return ({ status }) => this.ec2.state.bay.has(status?.eni?.eniID ?? '')
  }
}
