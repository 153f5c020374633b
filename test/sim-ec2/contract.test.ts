// One table of behaviours, always against the simulation and, on demand, against real EC2, so that the simulation stays honest:
//
//   AWS_CONTRACT_TEST=1 CONTRACT_SUBNET_ID=subnet-… [CONTRACT_INSTANCE_ID=i-…] node --test test/sim-ec2/contract.test.ts
//
// with credentials and region as the SDK finds them. It needs a subnet with 30 free addresses, which nobody else should use meanwhile,
// and for what is about attachments a running instance in the same zone with two free indexes on card 0, and a subnet in another
// zone of its VPC. It makes 26 interfaces with the VPC's default security group, all tagged jit-eni-contract, attaches some of them
// for seconds, and deletes all of them at the end, whatever has failed; what it could not delete it names. It looks every 2 s
// (CONTRACT_POLL_MS), takes some minutes and costs nothing: interfaces and calls are free. Rights: the actions of
// sim/ec2/wire/actions.ts but those that delete groups and subnets.

import assert from 'node:assert/strict'
import { type TestContext, after, describe, test } from 'node:test'

import { EC2 } from '@aws-sdk/client-ec2'

import { WallClock } from '../../sim/ec2/wall-clock.ts'

import { ContractAccount, missingFrom } from './contract-account.ts'
import { attachmentBehaviours } from './contract-attachments.ts'
import { behaviours } from './contract-behaviours.ts'
import { ec2InProcess } from './ec2-in-process.ts'

describe('the simulation', () => {
  const account = async (t: TestContext) => {
    const delays = { createMs: 100, attachMs: 100, detachMs: 300 }
    const { client } = await ec2InProcess(t, { clock: new WallClock(), delays })
    return new ContractAccount(client, 'subnet-a', 'i-large', 20)
  }
  for (const { title, check } of [...behaviours, ...attachmentBehaviours]) {
    test(title, async (t) => check(await account(t)))
  }
})

const isWanted = process.env['AWS_CONTRACT_TEST'] === '1'

const { CONTRACT_SUBNET_ID: subnetId = '', CONTRACT_INSTANCE_ID: instanceId, CONTRACT_POLL_MS: pollMs } = process.env
const ec2 = new EC2({})
const missing = isWanted ? await missingFrom(ec2, subnetId, instanceId) : undefined

describe('real EC2', { skip: !isWanted && 'AWS_CONTRACT_TEST is not 1' }, () => {
  if (missing !== undefined) {
    test('has all that the contract needs', () => assert.fail(missing))
    return
  }
  const account = new ContractAccount(ec2, subnetId, instanceId, Number(pollMs ?? 2000))
  test('says how its interfaces are found', (t) =>
    t.diagnostic(`all have the tag ${Object.values(account.mark).join('=')}`))
  after(async () => {
    await account.cleanUp()
    ec2.destroy()
  })

  for (const { title, check } of behaviours) test(title, () => check(account))
  const skip = instanceId === undefined && 'CONTRACT_INSTANCE_ID is not set'
  for (const { title, check } of attachmentBehaviours) test(title, { skip }, () => check(account))
})
