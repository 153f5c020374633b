// Client tokens: what makes a create safe to repeat.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { CreateNetworkInterfaceCommandInput } from '@aws-sdk/client-ec2'

import { clientOf, ec2UnderTest, refused } from './ec2-under-test.ts'

const tagged = (value: string): CreateNetworkInterfaceCommandInput => ({
  SubnetId: 'subnet-a',
  ClientToken: 'intent-1',
  TagSpecifications: [{ ResourceType: 'network-interface', Tags: [{ Key: 'attachment', Value: value }] }],
})

test('the same token with the same parameters gives the same interface, and no second one', async (t) => {
  const { ec2, client } = await ec2UnderTest(t)
  const before = ec2.state.enis().length
  const first = await client.createNetworkInterface(tagged('1'))
  const second = await client.createNetworkInterface(tagged('1'))
  assert.equal(second.NetworkInterface?.NetworkInterfaceId, first.NetworkInterface?.NetworkInterfaceId)
  assert.equal(second.ClientToken, 'intent-1')
  assert.equal(ec2.state.enis().length, before + 1)
})

test('the same token with other parameters is refused, tags included', async (t) => {
  const { client } = await ec2UnderTest(t)
  await client.createNetworkInterface(tagged('1'))
  const words = 'inconsistent with arguments used in previous request(s)'
  await refused(client.createNetworkInterface(tagged('2')), 'IdempotentParameterMismatch', words)
})

test('a repeat while the first answer is still on its way names the same interface', async (t) => {
  const { ec2, client, clock } = await ec2UnderTest(t)
  const before = ec2.state.enis().length
  for (const when of ['after', 'before'] as const) {
    ec2.faults.add({ action: 'CreateNetworkInterface', when, kind: 'slow', ms: 60_000 })
    const token = { ...tagged('1'), ClientToken: when }
    const waiting = clock.nextTimer()
    const first = client.createNetworkInterface(token)
    await waiting
    const repeat = await client.createNetworkInterface(token)
    clock.advance(60_000)
    const eniId = (await first).NetworkInterface?.NetworkInterfaceId
    assert.equal(repeat.NetworkInterface?.NetworkInterfaceId, eniId)
  }
  assert.equal(ec2.state.enis().length, before + 2)
})

test('a token whose interface was deleted still names that interface: it is burned', async (t) => {
  const { ec2, client } = await ec2UnderTest(t)
  const first = await client.createNetworkInterface(tagged('1'))
  const NetworkInterfaceId = first.NetworkInterface?.NetworkInterfaceId ?? ''
  await client.deleteNetworkInterface({ NetworkInterfaceId })
  const second = await client.createNetworkInterface(tagged('1'))
  assert.equal(second.NetworkInterface?.NetworkInterfaceId, NetworkInterfaceId)
  assert.equal(ec2.state.findEni(NetworkInterfaceId), undefined)
})

test('a token is forgotten after twelve hours', async (t) => {
  const { client, clock } = await ec2UnderTest(t)
  const first = await client.createNetworkInterface(tagged('1'))
  clock.advance(12 * 60 * 60 * 1000)
  const second = await client.createNetworkInterface(tagged('2'))
  assert.notEqual(second.NetworkInterface?.NetworkInterfaceId, first.NetworkInterface?.NetworkInterfaceId)
})

test('a token is forgotten after tokenMs, where that is set', async (t) => {
  const { client, clock } = await ec2UnderTest(t, { delays: { tokenMs: 60_000 } })
  const create = async () => (await client.createNetworkInterface(tagged('1'))).NetworkInterface?.NetworkInterfaceId
  const first = await create()
  clock.advance(59_999)
  assert.equal(await create(), first)
  clock.advance(1)
  assert.notEqual(await create(), first)
})

test('a refused create does not use up its token', async (t) => {
  const { client } = await ec2UnderTest(t)
  const create = (SubnetId: string) => client.createNetworkInterface({ SubnetId, ClientToken: 'intent-1' })
  await refused(create('subnet-0'), 'InvalidSubnetID.NotFound')
  await create('subnet-a')
})

test('a token has at most 64 characters', async (t) => {
  const { client } = await ec2UnderTest(t)
  const create = (length: number) =>
    client.createNetworkInterface({ SubnetId: 'subnet-a', ClientToken: 'x'.repeat(length) })
  await create(64)
  await refused(create(65), 'InvalidParameterValue', 'clientToken')
})

test('the SDK, when an answer is lost, repeats its own token: one interface', async (t) => {
  const { ec2 } = await ec2UnderTest(t)
  const client = clientOf(ec2, 2)
  t.after(() => client.destroy())
  const before = ec2.state.enis().length
  ec2.faults.add({ action: 'CreateNetworkInterface', when: 'after', kind: 'reset' })
  await client.createNetworkInterface({ SubnetId: 'subnet-a' })
  assert.equal(ec2.calls.count('CreateNetworkInterface'), 2)
  assert.equal(ec2.state.enis().length, before + 1)
})
