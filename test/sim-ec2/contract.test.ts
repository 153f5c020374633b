// One table of behaviours, always against the simulation and, on demand, against real EC2, so that the simulation stays honest:
//
//   AWS_CONTRACT_TEST=1 CONTRACT_SUBNET_ID=subnet-… [CONTRACT_INSTANCE_ID=i-…] node --test test/sim-ec2/contract.test.ts
//
// with credentials and region as the SDK finds them. It makes a dozen interfaces in the subnet, all tagged jit-eni-contract, and
// attaches two of them to the instance (same zone, two free indexes on card 0). It deletes them at the end.

import { type TestContext, after, describe, test } from 'node:test'

import { EC2 } from '@aws-sdk/client-ec2'

import { ContractAccount } from './contract-account.ts'
import { attachmentBehaviours, behaviours } from './contract-behaviours.ts'
import { ec2InProcess } from './ec2-in-process.ts'

describe('the simulation', () => {
  const account = async (t: TestContext) => new ContractAccount((await ec2InProcess(t)).client, 'subnet-a', 'i-large')
  for (const { title, check } of [...behaviours, ...attachmentBehaviours]) {
    test(title, async (t) => check(await account(t)))
  }
})

describe('real EC2', { skip: whyNot() }, () => {
  const { CONTRACT_SUBNET_ID: subnetId = '', CONTRACT_INSTANCE_ID: instanceId } = process.env
  const ec2 = new EC2({})
  const account = new ContractAccount(ec2, subnetId, instanceId)
  after(async () => {
    await account.cleanUp()
    ec2.destroy()
  })

  for (const { title, check } of behaviours) test(title, () => check(account))
  const skip = instanceId === undefined && 'CONTRACT_INSTANCE_ID is not set'
  for (const { title, check } of attachmentBehaviours) test(title, { skip }, () => check(account))
})

function whyNot(): string | false {
  if (process.env['AWS_CONTRACT_TEST'] !== '1') return 'AWS_CONTRACT_TEST is not 1'
  return process.env['CONTRACT_SUBNET_ID'] === undefined && 'CONTRACT_SUBNET_ID is not set'
}
