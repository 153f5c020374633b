// A simulated EC2 with the small world and a clock that stands still, the real SDK pointed at it, and the end of both with the test.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'

import { EC2 } from '@aws-sdk/client-ec2'

import { type Ec2Options, type SimulatedEc2, startEc2 } from '../../sim/ec2/start-ec2.ts'

import { ManualClock } from './manual-clock.ts'
import { smallWorld } from './small-world.ts'

export interface Ec2UnderTest extends ShortCalls {
  readonly ec2: SimulatedEc2
  readonly client: EC2
  readonly clock: ManualClock
}

export interface ShortCalls {
  /** Creates an interface and returns its id. */
  readonly create: (subnetId?: string) => Promise<string>
  readonly attach: (eniId: string, instanceId: string, deviceIndex: number, networkCard?: number) => Promise<string>
}

export async function ec2UnderTest(test: TestContext, options: Partial<Ec2Options> = {}): Promise<Ec2UnderTest> {
  const clock = new ManualClock()
  const ec2 = await startEc2({ world: smallWorld, clock, ...options })
  const client = clientOf(ec2)
  test.after(async () => {
    client.destroy()
    await ec2.stop()
  })
  return { ec2, client, clock, ...shortCalls(client) }
}

export function shortCalls(client: EC2): ShortCalls {
  return {
    async create(SubnetId = 'subnet-a') {
      const { NetworkInterface } = await client.createNetworkInterface({ SubnetId })
      return NetworkInterface?.NetworkInterfaceId ?? assert.fail('no id')
    },
    async attach(NetworkInterfaceId, InstanceId, DeviceIndex, NetworkCardIndex = 0) {
      const answer = await client.attachNetworkInterface({
        NetworkInterfaceId,
        InstanceId,
        DeviceIndex,
        NetworkCardIndex,
      })
      return answer.AttachmentId ?? assert.fail('no attachment id')
    },
  }
}

/** One attempt a call, unless told: the tests want to see what EC2 says, not what the SDK makes of it. */
export function clientOf(ec2: SimulatedEc2, maxAttempts = 1): EC2 {
  const environment = ec2.environment()
  return new EC2({
    endpoint: ec2.endpoint,
    region: ec2.state.region,
    maxAttempts,
    credentials: {
      accessKeyId: environment['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] ?? '',
    },
  })
}

/** The call must be refused with this code, and with these words if any are given. */
export async function refused(call: Promise<unknown>, code: string, words = ''): Promise<void> {
  await assert.rejects(call, (error: Error) => {
    assert.equal(error.name, code)
    assert.ok(error.message.includes(words), `"${error.message}" says "${words}"`)
    return true
  })
}
