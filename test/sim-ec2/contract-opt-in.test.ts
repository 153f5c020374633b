// Who asks for the contract with real EC2 gets it, or a failure: never a test that was skipped for want of a setting. And whatever
// fails in it, it leaves nothing behind; here the simulation stands in for real EC2, over HTTP.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'

import { type SimulatedEc2, startEc2 } from '../../sim/ec2/start-ec2.ts'

import { smallWorld } from './small-world.ts'

const contract = new URL('contract.test.ts', import.meta.url).pathname
/** Nothing of the machine on which the test runs. */
const bare = {
  PATH: process.env['PATH'],
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  AWS_EC2_METADATA_DISABLED: 'true',
}
const credentials = { AWS_ACCESS_KEY_ID: 'AKIANOBODY', AWS_SECRET_ACCESS_KEY: 'secret' }
const wanted = {
  AWS_CONTRACT_TEST: '1',
  CONTRACT_SUBNET_ID: 'subnet-a',
  CONTRACT_INSTANCE_ID: 'i-large',
  CONTRACT_POLL_MS: '50',
}
/** As long as EC2 takes for what the contract must find under way. */
const delays = { createMs: 100, attachMs: 100, detachMs: 300 }

function idsOf({ state }: SimulatedEc2): string[] {
  return state.enis().map(({ eniId }) => eniId)
}

async function run(env: Readonly<Record<string, string>>): Promise<{ code: number | null; said: string }> {
  const child = spawn(process.execPath, ['--test-name-pattern=^real EC2', contract], {
    env: { ...bare, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = await Promise.all([text(child.stdout), once(child, 'close')])
  return { code: child.exitCode, said }
}

test('not asked for, it says that it was skipped', async () => {
  const { code, said } = await run({})
  assert.equal(code, 0)
  assert.match(said, /AWS_CONTRACT_TEST is not 1/)
})

describe('asked for, it fails', () => {
  const settings: Readonly<Record<string, { readonly env: Readonly<Record<string, string>>; readonly says: RegExp }>> =
    {
      'without a subnet': { env: credentials, says: /CONTRACT_SUBNET_ID is not set/ },
      'without a region': { env: { ...credentials, CONTRACT_SUBNET_ID: 'subnet-a' }, says: /Region is missing/ },
      'without credentials': {
        env: { AWS_REGION: 'eu-north-1', CONTRACT_SUBNET_ID: 'subnet-a' },
        says: /EC2 does not answer: CredentialsProviderError/,
      },
    }
  for (const [title, { env, says }] of Object.entries(settings))
    test(title, async () => {
      const { code, said } = await run({ ...env, AWS_CONTRACT_TEST: '1' })
      assert.equal(code, 1)
      assert.match(said, says)
    })

  test('with an instance that is elsewhere, and makes nothing', async (t) => {
    const ec2 = await startEc2({ world: smallWorld })
    t.after(() => ec2.stop())
    const { code, said } = await run({ ...ec2.environment(), ...wanted, CONTRACT_SUBNET_ID: 'subnet-b' })
    assert.equal(code, 1)
    assert.match(said, /i-large does not run in the zone and VPC of subnet-b/)
    assert.equal(ec2.calls.count('CreateNetworkInterface'), 0)
  })
})

test('asked for, it succeeds where EC2 does as it says, and leaves nothing behind', async (t) => {
  const ec2 = await startEc2({ world: smallWorld, delays })
  t.after(() => ec2.stop())
  const before = idsOf(ec2)
  const { code, said } = await run({ ...ec2.environment(), ...wanted })
  assert.equal(code, 0, said)
  assert.match(said, /skipped 0/)
  assert.deepEqual(idsOf(ec2), before)
})

test('whatever fails in it, it deletes all that it has made', async (t) => {
  const ec2 = await startEc2({ world: smallWorld, delays })
  t.after(() => ec2.stop())
  const before = idsOf(ec2)
  // The SDK repeats the attach, and EC2 says that the interface is in use: it stays attached.
  ec2.faults.add({ action: 'AttachNetworkInterface', nth: 2, when: 'after', kind: 'reset' })
  // Of all that is to be deleted, the first ones are not, for as long as the SDK tries: the last behaviour asks for pages of instances.
  ec2.calls.on(({ action, parameters }) => {
    if (action === 'DescribeInstances' && 'MaxResults' in parameters)
      ec2.faults.add({ action: 'DeleteNetworkInterface', when: 'before', kind: 'http500', times: 40 })
  })
  const { code, said } = await run({ ...ec2.environment(), ...wanted })
  assert.equal(code, 1)
  assert.match(said, /✖ an attach ends attached[^✖]+InvalidNetworkInterface\.InUse/)
  assert.match(said, /all have the tag jit-eni-contract=/)
  assert.ok(ec2.calls.count('CreateNetworkInterface') > 25)
  assert.deepEqual(idsOf(ec2), before)
})
