// Faults on order, and the log of calls.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { EC2 } from '@aws-sdk/client-ec2'

import { inProcess } from '../../sim/ec2/in-process.ts'

import { ec2UnderTest, refused } from './ec2-under-test.ts'

const create = { action: 'CreateNetworkInterface' } as const

test('a fault before: EC2 did nothing', async (t) => {
  const { ec2, create: createEni } = await ec2UnderTest(t)
  const before = ec2.state.enis().length
  ec2.faults.add({ ...create, when: 'before', kind: { code: 'InternalError', message: 'oops', status: 500 } })
  await refused(createEni(), 'InternalError', 'oops')
  assert.equal(ec2.state.enis().length, before)
  await createEni()
})

test('a fault after: EC2 did it and the caller does not know', async (t) => {
  const { ec2, create: createEni } = await ec2UnderTest(t)
  const before = ec2.state.enis().length
  for (const kind of ['reset', 'http500', { code: 'Unavailable', status: 503 }] as const) {
    ec2.faults.add({ ...create, when: 'after', kind })
    await assert.rejects(createEni())
  }
  assert.equal(ec2.state.enis().length, before + 3)
  assert.deepEqual(
    [...ec2.calls].map((call) => call.error),
    ['reset', 'http500', 'Unavailable'],
  )
  assert.equal(
    ec2.calls.of('CreateNetworkInterface').every((call) => call.result !== undefined),
    true,
  )
})

test('EC2 did it and never answers, until the caller gives up', async (t) => {
  const { ec2 } = await ec2UnderTest(t)
  const impatient = new EC2({
    ...inProcess(ec2),
    endpoint: ec2.endpoint,
    requestHandler: { requestTimeout: 50, throwOnRequestTimeout: true },
    maxAttempts: 1,
  })
  t.after(() => impatient.destroy())
  const before = ec2.state.enis().length
  ec2.faults.add({ ...create, when: 'after', kind: 'no-answer' })
  await assert.rejects(impatient.createNetworkInterface({ SubnetId: 'subnet-a' }), { name: 'TimeoutError' })
  assert.equal(ec2.state.enis().length, before + 1)
})

test('a fault strikes the nth call of its action and as many after it as told', async (t) => {
  const { ec2, client } = await ec2UnderTest(t)
  ec2.faults.add({
    action: 'DescribeSubnets',
    nth: 2,
    times: 2,
    when: 'before',
    kind: { code: 'RequestLimitExceeded' },
  })
  const outcomes: string[] = []
  for (let call = 1; call <= 4; call++) {
    await client.describeInstances({})
    await client.describeSubnets({}).then(
      () => outcomes.push('ok'),
      (error: Error) => outcomes.push(error.name),
    )
  }
  assert.deepEqual(outcomes, ['ok', 'RequestLimitExceeded', 'RequestLimitExceeded', 'ok'])
})

test('a fault of an action that does not exist does not compile', async (t) => {
  const { ec2, create: createEni } = await ec2UnderTest(t)
  // @ts-expect-error it is mistyped
  ec2.faults.add({ action: 'CreateNetworkInterfce', when: 'before', kind: 'http500' })
  await createEni()
})

test('a fault may be taken back', async (t) => {
  const { ec2, client } = await ec2UnderTest(t)
  const takeBack = ec2.faults.add({ action: '*', times: Infinity, when: 'before', kind: 'http500' })
  await assert.rejects(client.describeSubnets({}))
  takeBack()
  await client.describeSubnets({})
})

test('a slow call answers right, and the log has how long EC2 took', async (t) => {
  const { ec2, clock, create: createEni } = await ec2UnderTest(t, { delays: { answerMs: 300 } })
  ec2.faults.add({ ...create, when: 'after', kind: 'slow', ms: 2000 })
  const before = ec2.state.enis().length
  const answer = createEni()
  await clock.nextTimer()
  assert.equal(ec2.state.enis().length, before + 1)
  const slowed = clock.nextTimer()
  clock.advance(300)
  await slowed
  clock.advance(2000)
  await answer
  assert.equal([...ec2.calls][0]?.ms, 2300)
})

test('the log has who called what with which parameters, and tells listeners', async (t) => {
  const { ec2, client, create: createEni } = await ec2UnderTest(t)
  const heard: string[] = []
  const off = ec2.calls.on((call) => heard.push(`${call.action} ${call.error ?? 'ok'}`))
  await createEni()
  await refused(client.deleteNetworkInterface({ NetworkInterfaceId: 'eni-0' }), 'InvalidNetworkInterfaceID.NotFound')
  off()
  await client.describeSubnets({})

  assert.deepEqual(heard, ['CreateNetworkInterface ok', 'DeleteNetworkInterface InvalidNetworkInterfaceID.NotFound'])
  assert.deepEqual(ec2.calls.countByAction(), {
    CreateNetworkInterface: 1,
    DeleteNetworkInterface: 1,
    DescribeSubnets: 1,
  })
  const [first] = ec2.calls
  assert.equal(first?.parameters['SubnetId'], 'subnet-a')
  assert.equal(first?.accessKeyId, ec2.environment()['AWS_ACCESS_KEY_ID'])
})
