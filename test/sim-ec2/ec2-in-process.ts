// A simulated EC2 with the small world on a virtual clock, and the real SDK without a socket in front of it.

import type { TestContext } from 'node:test'

import { EC2 } from '@aws-sdk/client-ec2'

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { type InProcessOptions, inProcess } from '../../sim/ec2/in-process.ts'
import { type Ec2, type Ec2Options, newEc2 } from '../../sim/ec2/new-ec2.ts'

import { type ShortCalls, shortCalls } from './ec2-under-test.ts'
import { smallWorld } from './small-world.ts'

export interface Ec2InProcess extends ShortCalls {
  readonly ec2: Ec2
  readonly client: EC2
  readonly clock: VirtualClock
}

export async function ec2InProcess(
  t: TestContext,
  options: Partial<Ec2Options> = {},
  clientOptions: InProcessOptions = {},
): Promise<Ec2InProcess> {
  await sdkIsReady
  const clock = new VirtualClock()
  const ec2 = newEc2({ world: smallWorld, clock, ...options })
  const client = new EC2({ ...inProcess(ec2, clientOptions), maxAttempts: 1 })
  t.after(() => client.destroy())
  return { ec2, client, clock, ...shortCalls(client) }
}

/** The SDK reads its configuration files before a process's first call, in real time. */
const sdkIsReady = new EC2(inProcess(newEc2({ world: smallWorld }))).describeSubnets({})
