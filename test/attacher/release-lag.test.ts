// EC2 shows an ENI as free, and its delete calls it in use for a while yet (aws/amazon-vpc-cni-k8s#1399).
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { AccountInUse, minuteMs } from './lab/account-in-use.ts'

const action = 'DeleteNetworkInterface'
const kind = { code: 'InvalidParameterValue', message: "Network interface 'eni' is currently in use." }

/** The delete of its idle ENI is refused so often. */
async function releasing(times: number): Promise<{ lab: AccountInUse; told: () => string }> {
  const lab = new AccountInUse()
  await lab.start()
  const { name } = lab.idle()[0]?.metadata ?? assert.fail()
  lab.ec2.faults.add({ action, when: 'before', times, kind })
  lab.releaseIdle()
  return { lab, told: () => [...lab.events('ENIAttachment', name), ...lab.events('NodeENI', 'upf')].join('\n') }
}

test('while that may be lag, nobody is told, and it is deleted again', async () => {
  const { lab, told } = await releasing(5)
  await lab.until(() => lab.idle().length === 0, minuteMs)
  assert.equal(lab.ec2.calls.count(action), 6)
  assert.equal(lab.ec2.calls.count('DetachNetworkInterface'), 1)
  assert.doesNotMatch(told(), /in use/)
  await lab.assertAllWell()
})

test('when it lasts for longer than EC2 may lag, it is told', async () => {
  const { lab, told } = await releasing(Infinity)
  await lab.until(() => /is currently in use/.test(told()), 2 * minuteMs)
  lab.ec2.faults.clear()
  await lab.assertAllWell()
})
