// The attacher's real controllers and the real SDK on a virtual clock, over the simulated EC2 and a Kubernetes API in this process,
// with what happens on the nodes (nodes-stand-in.ts). The attacher dies where it is told to, and another takes over.
import { VirtualClock } from '../../../sim/clock/virtual-clock.ts'
import { type Ec2, type Ec2Options, newEc2 } from '../../../sim/ec2/new-ec2.ts'
import type { PluggedCard } from '../../../sim/ec2/state/hypervisor.ts'
import type { ENIAttachment } from '../../../src/api/eni-attachment.ts'
import { AttacherMetrics } from '../../../src/attacher/metrics.ts'
import { type AttacherSettings, attacherSettings } from '../../../src/attacher/settings.ts'
import { ApiDouble } from '../../kube-api/api-double.ts'
import { attacherWorld, resource } from '../attacher-world.ts'
import type { AccessOptions } from '../ec2-access.ts'
import { Scene } from '../scene.ts'
import { AttacherProcess, leaseKey } from './attacher-process.ts'
import type { Death } from './crash-point.ts'
import { brokenInTheEnd, brokenNow } from './invariants.ts'
import { NodesStandIn } from './nodes-stand-in.ts'

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
  /**
   * Attachers lead by the lease, and the lease of a dead one runs out by itself, or somebody deletes it at once. Without it every
   * attacher that is started leads.
   */
  readonly lease?: 'runs out' | 'is deleted'
  readonly onDeath?: () => void
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
  readonly #attachers = new Set<AttacherProcess>()
  #started = 0

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

  /** Starts an attacher, in place of those that run. Answers what it does and how it ends. */
  startAttacher(death?: Death): Pick<AttacherProcess, 'calls' | 'diedAt'> {
    this.stopAttacher()
    return this.#start(death)
  }

  /** As a kill does: what it has begun is not ended. */
  stopAttacher(): void {
    for (const attacher of this.#attachers) attacher.kill()
    this.#attachers.clear()
  }

  /** As a rollout does: another is there before the one that leads is told to stop. */
  replaceAttacher(): void {
    const before = [...this.#attachers]
    this.#start()
    for (const attacher of before) attacher.stop()
  }

  /** The one that leads has no API server any more; another has one. */
  cutOffAttacher(): void {
    for (const attacher of this.#attachers) attacher.cutOff()
    this.#start()
  }

  /** Adds to the violations what must not be when every program runs and EC2 has settled. */
  checkEnd(): void {
    for (const what of brokenInTheEnd(this.scene)) this.violations.add(`in the end: ${what}`)
  }

  #start(death?: Death): AttacherProcess {
    const { settings, limits, lease } = this.#options
    const attacher = new AttacherProcess({
      identity: `attacher-${++this.#started}`,
      clock: this.clock,
      ec2: this.ec2,
      api: this.api,
      settings: { ...defaultSettings, ...settings },
      limits,
      metrics: this.metrics,
      death,
      hasLease: lease !== undefined,
      onDeath: () => this.#succeed(attacher),
      onBroken: (what) => this.violations.add(what),
    })
    this.#attachers.add(attacher)
    return attacher
  }

  /** Another comes after one that has died or is cut off. */
  #succeed({ isDead, identity }: AttacherProcess): void {
    const { lease, onDeath } = this.#options
    onDeath?.()
    const leases = this.api.store('leases')
    const spec = leases.get(leaseKey)?.['spec'] as { holderIdentity: string } | undefined
    if (lease === 'is deleted' && isDead && spec?.holderIdentity === identity) leases.delete(leaseKey)
    this.clock.after(takeOverMs, () => (lease === undefined ? this.startAttacher() : this.#start()))
  }

  #hasCard(): (attachment: ENIAttachment) => boolean {
    if (this.#options.cards !== 'in the guest') return ({ status }) => status?.eni?.attached === true
    return ({ status }) => this.ec2.state.bay.has(status?.eni?.eniID ?? '')
  }
}
