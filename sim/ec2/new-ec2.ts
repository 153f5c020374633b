// The simulated EC2 without a socket: the account, its faults and log, and the service that answers calls.
// in-process.ts points the SDK at it; start-ec2.ts puts an HTTP server in front of it.

import { Iam, type IamOptions } from './iam/iam.ts'
import type { Clock } from './state/clock.ts'
import type { Consistency } from './state/consistency.ts'
import type { Delays } from './state/delays.ts'
import { detachNetworkInterface } from './state/detach-network-interface.ts'
import type { Random } from './state/duration.ts'
import { Ec2State } from './state/ec2-state.ts'
import type { Hypervisor } from './state/hypervisor.ts'
import { launchInstance, startInstance, stopInstance, terminateInstance } from './state/instance-lifecycle.ts'
import { refusals } from './state/refusals.ts'
import type { Transition } from './state/stuck-transitions.ts'
import { WallClock } from './wall-clock.ts'
import { CallLog } from './wire/call-log.ts'
import { Faults } from './wire/faults.ts'
import { Ec2Service } from './wire/service.ts'
import { type BucketName, Throttle, type Throttling } from './wire/throttle.ts'
import type { World, WorldInstance } from './world.ts'

export interface Ec2Options {
  readonly world: World
  /** None: cards appear nowhere. */
  readonly hypervisor?: Hypervisor
  readonly delays?: Partial<Delays>
  /** Real time unless given. */
  readonly clock?: Clock
  /** Off unless given. */
  readonly throttling?: Throttling
  /** Off unless given. */
  readonly consistency?: Consistency
  /** Decides what is drawn of delays and lags that are ranges. */
  readonly seed?: number
  /** In place of a generator of its own. */
  readonly random?: Random
  /** Everything is allowed unless given. */
  readonly iam?: IamOptions
}

export interface Ec2 {
  readonly state: Ec2State
  readonly iam: Iam
  readonly faults: Faults
  readonly calls: CallLog
  readonly service: Ec2Service
  setDelays(delays: Partial<Delays>): void
  /** Undefined: off. All buckets are full afterwards. */
  setThrottling(throttling: Throttling | undefined): void
  /** Other users of the account take tokens of this bucket. */
  drain(bucketName: BucketName, tokens: number): void
  /** Undefined: off. */
  setConsistency(consistency: Consistency | undefined): void
  /** The next attach or detach, of this interface or of any, gets stuck until the returned function is called. */
  stick(transition: Transition, eniId?: string): () => void
  launchInstance(instance: WorldInstance): void
  stopInstance(instanceId: string): void
  startInstance(instanceId: string): void
  terminateInstance(instanceId: string): void
  /** Somebody detaches the interface in the console. */
  detachByHand(eniId: string): void
  /** Drops what was still to happen in real time. */
  stop(): Promise<void>
}

export function newEc2(options: Ec2Options): Ec2 {
  const wallClock = new WallClock()
  const clock = options.clock ?? wallClock
  const state = new Ec2State(options.world, clock, options)
  for (const instance of options.world.instances) launchInstance(state, instance)
  const throttle = new Throttle(clock, options.throttling)
  const iam = new Iam(state, options.iam)
  const faults = new Faults()
  const calls = new CallLog()

  return {
    state,
    iam,
    faults,
    calls,
    service: new Ec2Service({ state, throttle, iam, faults, calls }),
    setDelays: (delays) => void Object.assign(state.delays, delays),
    setThrottling: (throttling) => throttle.set(throttling),
    drain: (bucketName, tokens) => throttle.drain(bucketName, tokens),
    setConsistency: (consistency) => state.visibility.set(consistency, state.enis()),
    stick: (transition, eniId) => state.stuck.order(transition, eniId),
    launchInstance: (instance) => launchInstance(state, instance),
    stopInstance: (instanceId) => stopInstance(state, instanceId),
    startInstance: (instanceId) => startInstance(state, instanceId),
    terminateInstance: (instanceId) => terminateInstance(state, instanceId),
    detachByHand: (eniId) => detachByHand(state, eniId),
    stop: async () => wallClock.stop(),
  }
}

function detachByHand(state: Ec2State, eniId: string): void {
  const { attachment } = state.eni(eniId)
  if (attachment === undefined) throw refusals.attachmentNotFound(eniId)
  detachNetworkInterface(state, { attachmentId: attachment.attachmentId })
}
