// One run of the model: the attacher and the extender, real, on a virtual clock, with all others who touch the same account and the
// same API server, and what was not as it must be.
import { seededRandom } from '../../../sim/ec2/state/duration.ts'
import { Human } from '../../../sim/ec2/rivals/human.ts'
import { OtherCluster } from '../../../sim/ec2/rivals/other-cluster.ts'
import { VpcCni } from '../../../sim/ec2/rivals/vpc-cni.ts'
import type { Claim } from '../../../src/api/eni-attachment.ts'
import type { SlotPolicy } from '../../../src/attacher/slot-map.ts'
import type { KubeObject } from '../../kube-api/resources.ts'
import { Lab } from '../lab/lab.ts'
import { Always } from './always.ts'
import { EniRecord } from './eni-record.ts'
import { Extender } from './extender.ts'
import { Kubelet } from './kubelet.ts'
import { Nodes, nothing } from './nodes.ts'
import { picture } from './picture.ts'
import { Trouble } from './trouble.ts'
import { type InstanceShape, otherInstance, type Resource, worldWith } from './world.ts'

export interface Circumstances {
  /** EC2's answers lag behind what it has done. */
  readonly lag: boolean
  /** EC2 takes as long as on a bad day. */
  readonly slow: boolean
  /** EC2 forgets a terminated instance within a minute. */
  readonly forgetful: boolean
  readonly cniSlots: 0 | 1
  readonly b1: InstanceShape
}

const prompt = { answerMs: 50, createMs: 300, attachMs: 1_000, detachMs: 1_000, deviceMs: 800, stopMs: 5_000 }
const slow = {
  answerMs: [20, 2_000],
  createMs: [100, 5_000],
  attachMs: [500, 30_000],
  detachMs: [500, 30_000],
  deviceMs: [500, 40_000],
  stopMs: [5_000, 60_000],
} as const
const seed = 7

export class Trial {
  readonly lab: Lab
  readonly record: EniRecord
  readonly nodes: Nodes
  readonly kubelet: Kubelet
  readonly extender: Extender
  readonly trouble: Trouble
  readonly human: Human
  readonly otherCluster: OtherCluster
  readonly policy: SlotPolicy
  /** What happened, with its time. */
  readonly journal: string[] = []
  readonly #always: Always
  readonly #cnis = new Map<string, VpcCni>()
  readonly #violations = new Set<string>()
  readonly #startMs: number
  #pods = 0

  constructor(circumstances: Circumstances) {
    const { cniSlots } = circumstances
    this.policy = { cniSlots, volumes: 0, jitCards: 'above-zero-first' }
    const delays = { ...(circumstances.slow ? slow : prompt), ...(circumstances.forgetful && { terminatedMs: 60_000 }) }
    this.lab = new Lab({
      ec2: { world: worldWith(circumstances.b1), delays },
      settings: { slots: this.policy },
      cards: 'in the guest',
      watchfulness: 'only the end',
    })
    const { lab } = this
    this.#startMs = lab.clock.now()
    const onBroken = (what: string) => this.#broken(what)
    this.record = new EniRecord(lab.scene)
    const random = seededRandom(seed)
    this.human = new Human(lab.ec2, random)
    const [subnetIds, instanceIds] = [
      ['subnet-a1', 'subnet-a2'],
      ['i-a2', otherInstance],
    ]
    this.otherCluster = new OtherCluster(lab.ec2, { clusterName: 'other', subnetIds, instanceIds, random })
    this.#always = new Always({ lab, record: this.record, otherCluster: this.otherCluster, cniSlots, onBroken })
    this.nodes = new Nodes(lab, (instanceId) => {
      const cni = new VpcCni(lab.ec2, { instanceId, random, clusterName: 'test' })
      this.#cnis.set(instanceId, cni)
      cni.start()
    })
    this.kubelet = new Kubelet({
      lab,
      record: this.record,
      instanceOf: (name) => this.nodes.instanceOf(name),
      onMissing: onBroken,
    })
    this.trouble = new Trouble(lab)
    if (circumstances.lag) this.trouble.lag(true)
    this.extender = new Extender(lab)
    lab.startAttacher()
  }

  /** Of this run, and of the attacher that came to its end. */
  get violations(): readonly string[] {
    return [...this.#violations, ...this.lab.violations]
  }

  tell(what: string): void {
    if (what !== nothing) this.journal.push(`${this.#time()} ${what}`)
  }

  async look(): Promise<void> {
    await this.lab.clock.settle()
    this.#always.look()
    this.#always.lookAtOthers()
  }

  addBroken(what: readonly string[], when: string): void {
    for (const one of what) this.#broken(`${when}: ${one}`)
  }

  end(): void {
    this.extender.stop()
    this.lab.stopAttacher()
    for (const cni of this.#cnis.values()) cni.stop()
  }

  cniOf(nodeName: string): VpcCni | undefined {
    return this.#cnis.get(this.nodes.instanceOf(nodeName) ?? '')
  }

  pods(): KubeObject[] {
    return this.lab.api.store('pods').list()
  }

  /** A pod comes, and the scheduler looks after it. */
  addPod(resource: Resource, devices: number, firstNode: number, name = `p${++this.#pods}`): string {
    const limits = { [resource]: String(devices) }
    const spec = { schedulerName: 'jit-eni', containers: [{ resources: { limits } }] }
    const pod = this.lab.api.store('pods').create({ metadata: { name, namespace: 'cnf' }, spec })
    const claim: Claim = { namespace: 'cnf', name, uid: pod.metadata.uid }
    this.extender.schedule(claim, firstNode).catch((error: unknown) => this.#broken(`scheduler: ${String(error)}`))
    return name
  }

  #broken(what: string): void {
    if (this.#violations.has(what)) return
    this.tell(`BROKEN ${what}`)
    if (this.#violations.size === 0) this.journal.push(...picture(this.lab))
    this.#violations.add(what)
  }

  #time(): string {
    const seconds = (this.lab.clock.now() - this.#startMs) / 1000
    return `${String(Math.floor(seconds / 60)).padStart(4)}:${(seconds % 60).toFixed(3).padStart(6, '0')}`
  }
}
