// A simulated EC2: speaks the real query protocol over HTTP on the loopback, so that the unchanged AWS SDK drives it.
// Models: instances, subnets and their addresses, security groups, interfaces with their states, attachments with cards, slots and
// limits, the budget shared with EBS, client tokens, tags, filters, pages, errors, delays, faults. See README.md for the whole list.
// Does not model: throttling, eventual consistency, IAM, packets, EFA, prefixes, Elastic IPs, rivals that use the same account.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

import type { Clock } from './state/clock.ts'
import type { Delays } from './state/delays.ts'
import { detachNetworkInterface } from './state/detach-network-interface.ts'
import { Ec2State } from './state/ec2-state.ts'
import type { Hypervisor } from './state/hypervisor.ts'
import { launchInstance, startInstance, stopInstance, terminateInstance } from './state/instance-lifecycle.ts'
import { refusals } from './state/refusals.ts'
import { WallClock } from './wall-clock.ts'
import { CallLog } from './wire/call-log.ts'
import { ec2Endpoint } from './wire/endpoint.ts'
import { Faults } from './wire/faults.ts'
import type { World, WorldInstance } from './world.ts'

export interface Ec2Options {
  readonly world: World
  /** None: cards appear nowhere. */
  readonly hypervisor?: Hypervisor
  readonly delays?: Partial<Delays>
  /** Real time unless given. */
  readonly clock?: Clock
}

export interface SimulatedEc2 {
  readonly endpoint: string
  readonly state: Ec2State
  readonly faults: Faults
  readonly calls: CallLog
  setDelays(delays: Partial<Delays>): void
  launchInstance(instance: WorldInstance): void
  stopInstance(instanceId: string): void
  startInstance(instanceId: string): void
  terminateInstance(instanceId: string): void
  /** Somebody detaches the interface in the console. */
  detachByHand(eniId: string): void
  /** What a process needs in its environment so that its SDK finds this EC2. */
  environment(): Record<string, string>
  stop(): Promise<void>
}

export async function startEc2(options: Ec2Options): Promise<SimulatedEc2> {
  const wallClock = new WallClock()
  const state = new Ec2State(options.world, options.clock ?? wallClock, options.hypervisor, options.delays)
  for (const instance of options.world.instances) launchInstance(state, instance)

  const faults = new Faults()
  const calls = new CallLog()
  const server = ec2Endpoint(state, faults, calls).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  return {
    endpoint,
    state,
    faults,
    calls,
    setDelays: (delays) => void Object.assign(state.delays, delays),
    launchInstance: (instance) => launchInstance(state, instance),
    stopInstance: (instanceId) => stopInstance(state, instanceId),
    startInstance: (instanceId) => startInstance(state, instanceId),
    terminateInstance: (instanceId) => terminateInstance(state, instanceId),
    detachByHand: (eniId) => detachByHand(state, eniId),
    environment: () => ({
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: state.region,
      AWS_ACCESS_KEY_ID: 'AKIASIMULATED0000000',
      AWS_SECRET_ACCESS_KEY: 'simulated',
    }),
    stop: async () => {
      wallClock.stop()
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function detachByHand(state: Ec2State, eniId: string): void {
  const { attachment } = state.eni(eniId)
  if (attachment === undefined) throw refusals.attachmentNotFound(eniId)
  detachNetworkInterface(state, { attachmentId: attachment.attachmentId })
}
