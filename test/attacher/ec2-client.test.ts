// The Ec2 port on the wire: what the real SDK sends for each method, and what is made of EC2's answers.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'

import { type SimulatedEc2, startEc2 } from '../../sim/ec2/start-ec2.ts'
import { createNetworkInterface } from '../../sim/ec2/state/create-network-interface.ts'
import type { CreateEniRequest, Ec2 } from '../../src/attacher/ec2.ts'
import type { Ec2Observer } from '../../src/attacher/ec2-connection.ts'
import type { Ec2ErrorKind } from '../../src/attacher/ec2-error.ts'
import { isEc2 } from '../../src/attacher/ec2-error.ts'

import { attacherWorld } from './attacher-world.ts'
import { ec2Client } from './ec2-access.ts'

interface Outcome {
  readonly action: string
  readonly outcome: string
}

async function clientUnderTest(context: TestContext): Promise<{ ec2: SimulatedEc2; client: Ec2; outcomes: Outcome[] }> {
  const ec2 = await startEc2({ world: attacherWorld })
  context.after(() => ec2.stop())
  Object.assign(process.env, ec2.environment())
  const outcomes: Outcome[] = []
  const observer: Ec2Observer = {
    called: (action, outcome) => void outcomes.push({ action, outcome }),
    waited: () => undefined,
    throttled: () => undefined,
    retried: () => undefined,
  }
  return { ec2, outcomes, client: ec2Client({ observer }) }
}

function request(clientToken: string, changes: Partial<CreateEniRequest> = {}): CreateEniRequest {
  return {
    clientToken,
    subnetID: 'subnet-a1',
    securityGroupIDs: ['sg-upf'],
    description: 'N3',
    tags: new Map([
      ['cluster', 'test'],
      ['owner', clientToken],
    ]),
    secondaryPrivateIPv4AddressCount: 0,
    ipv6AddressCount: 0,
    ...changes,
  }
}

const refusedAs = (kind: Ec2ErrorKind) => (error: unknown) => isEc2(error, kind)

test('create sends everything in one call, and the same token gives the same ENI', async (t) => {
  const { ec2, client } = await clientUnderTest(t)
  const eni = await client.createEni(request('1', { secondaryPrivateIPv4AddressCount: 2 }))
  assert.equal((await client.createEni(request('1', { secondaryPrivateIPv4AddressCount: 2 }))).id, eni.id)
  const made = ec2.state.eni(eni.id)
  assert.equal(made.description, 'N3')
  assert.deepEqual(made.groupIds, ['sg-upf'])
  assert.deepEqual(Object.fromEntries(made.tags), { cluster: 'test', owner: '1' })
  assert.deepEqual(eni.addresses, made.privateIpAddresses)
  assert.equal(eni.addresses.length, 3)
  assert.deepEqual([eni.mac, eni.subnetID, eni.attachment], [made.mac, 'subnet-a1', undefined])
  await assert.rejects(client.createEni(request('1', { subnetID: 'subnet-a2' })), refusedAs('TokenMismatch'))
})

test('attach, both modifies, detach and delete do what they say', async (t) => {
  const { ec2, client } = await clientUnderTest(t)
  const { id } = await client.createEni(request('1'))
  const attachmentID = await client.attachEni(id, 'i-a1', 2, 0)
  assert.equal(ec2.calls.of('AttachNetworkInterface')[0]?.parameters['NetworkCardIndex'], '0')
  await client.setDeleteOnTermination(id, attachmentID, true)
  await client.setSourceDestCheck(id, false)
  const [attached] = await client.describeEnis([id])
  assert.equal(attached?.sourceDestCheck, false)
  assert.deepEqual(attached.attachment, {
    id: attachmentID,
    instanceID: 'i-a1',
    status: 'attached',
    deviceIndex: 2,
    networkCard: 0,
    deleteOnTermination: true,
  })
  await client.detachEni(attachmentID, false)
  const [free] = await client.describeEnis([id])
  assert.deepEqual([free?.status, free?.attachment], ['available', undefined])
  await client.deleteEni(id)
  assert.deepEqual(await client.describeEnis([id]), [])
})

test('describes leave out what EC2 does not know, and ask for at most 200 ids a call', async (t) => {
  const { ec2, client } = await clientUnderTest(t)
  const known = await client.createEni(request('1'))
  const ids = [known.id, ...Array.from({ length: 450 }, (_, i) => `eni-${i}`)]
  const enis = await client.describeEnis(ids)
  assert.deepEqual(
    enis.map(({ id }) => id),
    [known.id],
  )
  assert.equal(ec2.calls.count('DescribeNetworkInterfaces'), 3)
  assert.deepEqual(await client.describeEnis([]), [])
})

test('pages are read to the last', async (t) => {
  const { ec2, client } = await clientUnderTest(t)
  const tags = new Map([['cluster', 'test']])
  for (let i = 0; i < 1003; i++) createNetworkInterface(ec2.state, { subnetId: 'subnet-a1', tags })
  const enis = await client.describeEnisByTag('cluster', ['test'])
  assert.equal(new Set(enis.map(({ id }) => id)).size, 1003)
  assert.equal(ec2.calls.count('DescribeNetworkInterfaces'), 2)
})

test('an ENI is found by its tag', async (t) => {
  const { client } = await clientUnderTest(t)
  await client.createEni(request('1'))
  const second = await client.createEni(request('2'))
  const found = await client.describeEnisByTag('owner', ['2'])
  assert.deepEqual(
    found.map(({ id, tags }) => [id, tags.get('cluster')]),
    [[second.id, 'test']],
  )
})

test('an instance comes with its type, zone, interfaces and volumes, a type with its cards and shared budget', async (t) => {
  const { client } = await clientUnderTest(t)
  const { id } = await client.createEni(request('1'))
  await client.attachEni(id, 'i-volumes', 3, 0)
  const [instance, ...others] = await client.describeInstances(['i-volumes', 'i-unknown'])
  assert.deepEqual(others, [])
  const { type, state, vpcID, zone, volumes, interfaces } = instance ?? assert.fail()
  assert.deepEqual([type, state, vpcID, zone, volumes], ['m5.4xlarge', 'running', 'vpc-1', 'eu-north-1a', 26])
  assert.deepEqual(interfaces.map(({ networkCard, deviceIndex }) => `${networkCard}/${deviceIndex}`).toSorted(), [
    '0/0',
    '0/3',
  ])
  const types = await client.describeInstanceTypes(['m5.4xlarge', 'c6in.32xlarge', 'm7i.4xlarge'])
  const facts = types.map(({ name, cards, sharedAttachments }) => [
    name,
    cards.map((card) => card.maxInterfaces).join('+'),
    sharedAttachments,
  ])
  assert.deepEqual(facts.toSorted(), [
    // The primary interface draws on it too.
    ['c6in.32xlarge', '8+8', 28],
    ['m5.4xlarge', '8', 28],
    ['m7i.4xlarge', '8', undefined],
  ])
})

test('subnets are found by id and by Name tag, groups by id and by name, names only inside the VPC', async (t) => {
  const { client } = await clientUnderTest(t)
  const ids = async (filter: Parameters<Ec2['describeSubnets']>[0]) =>
    (await client.describeSubnets(filter)).map(({ id }) => id)
  assert.deepEqual(await ids({ ids: ['subnet-a1', 'subnet-0'] }), ['subnet-a1'])
  assert.deepEqual(await ids({ nameTag: 'n3', vpcID: 'vpc-1' }), ['subnet-a1'])
  assert.deepEqual(await ids({ nameTag: 'n3', vpcID: 'vpc-2' }), [])
  const [subnet] = await client.describeSubnets({ ids: ['subnet-a2'] })
  const free = 256 - 5
  assert.deepEqual(subnet, {
    id: 'subnet-a2',
    zone: 'eu-north-1a',
    vpcID: 'vpc-1',
    cidr: '10.0.16.0/24',
    freeAddresses: free,
  })
  const upf = [{ id: 'sg-upf', vpcID: 'vpc-1' }]
  assert.deepEqual(await client.describeSecurityGroups({ ids: ['sg-upf', 'sg-0'] }), upf)
  assert.deepEqual(await client.describeSecurityGroups({ name: 'upf', vpcID: 'vpc-1' }), upf)
  assert.deepEqual(await client.describeSecurityGroups({ name: 'upf', vpcID: 'vpc-2' }), [])
  assert.deepEqual(await client.describeSecurityGroups({ nameTag: 'upf', vpcID: 'vpc-1' }), [])
})

test('a name is no pattern', async (t) => {
  const { ec2, client } = await clientUnderTest(t)
  ec2.state.subnet('subnet-b1').tags.set('Name', 'n?*\\')
  const vpcID = 'vpc-1'
  for (const nameTag of ['n*', '?3', 'n\\3'])
    assert.deepEqual(await client.describeSubnets({ nameTag, vpcID }), [], nameTag)
  const [subnet, ...others] = await client.describeSubnets({ nameTag: 'n?*\\', vpcID })
  assert.equal(subnet?.id, 'subnet-b1')
  assert.deepEqual(others, [])
  assert.deepEqual(await client.describeSecurityGroups({ name: 'up*', vpcID }), [])
  ec2.state.group('sg-upf').tags.set('Name', 'upf?')
  assert.deepEqual(await client.describeSecurityGroups({ nameTag: 'upf*', vpcID }), [])
  assert.deepEqual(await client.describeSecurityGroups({ nameTag: 'upf?', vpcID }), [{ id: 'sg-upf', vpcID }])
})

test('refusals are classified, and the metrics have their codes', async (t) => {
  const { client, outcomes } = await clientUnderTest(t)
  const [a, b] = [await client.createEni(request('1')), await client.createEni(request('2'))]
  await client.attachEni(a.id, 'i-a1', 1, 0)
  await assert.rejects(client.attachEni(b.id, 'i-a1', 1, 0), refusedAs('IndexTaken'))
  await assert.rejects(client.attachEni(a.id, 'i-a1', 2, 0), refusedAs('EniInUse'))
  await assert.rejects(client.attachEni(b.id, 'i-0', 2, 0), refusedAs('InstanceNotRunning'))
  await assert.rejects(client.deleteEni(a.id), refusedAs('EniInUse'))
  await assert.rejects(client.deleteEni('eni-0'), refusedAs('NotFound'))
  await assert.rejects(client.detachEni('eni-attach-0', false), refusedAs('NotFound'))
  await assert.rejects(client.createEni(request('3', { subnetID: 'subnet-0' })), refusedAs('Configuration'))
  assert.deepEqual(outcomes.at(-1), { action: 'CreateNetworkInterface', outcome: 'InvalidSubnetID.NotFound' })
  assert.deepEqual(outcomes[0], { action: 'CreateNetworkInterface', outcome: 'ok' })
})

test('a call whose answer is lost is of unknown outcome, and is not made again by the SDK', async (t) => {
  const { ec2, client } = await clientUnderTest(t)
  const before = ec2.state.eniCount
  ec2.faults.add({ action: 'CreateNetworkInterface', when: 'after', kind: 'reset' })
  await assert.rejects(client.createEni(request('1')), refusedAs('Retry'))
  assert.equal(ec2.calls.count('CreateNetworkInterface'), 1)
  await client.createEni(request('1'))
  assert.equal(ec2.state.eniCount, before + 1)
  ec2.faults.add({ action: 'DeleteNetworkInterface', when: 'before', kind: 'http500' })
  await assert.rejects(client.deleteEni('eni-1'), refusedAs('Retry'))
  assert.equal(ec2.calls.count('DeleteNetworkInterface'), 1)
})

test('a call that was one too many, by a code of any name, is made again', async (t) => {
  const { ec2, client, outcomes } = await clientUnderTest(t)
  for (const code of ['RequestLimitExceeded', 'Throttling']) {
    ec2.faults.add({ action: 'DescribeSubnets', when: 'before', kind: { code, status: 503 }, times: 2 })
    assert.equal((await client.describeSubnets({ ids: ['subnet-a1'] })).length, 1)
    assert.deepEqual(
      outcomes.splice(0).map(({ outcome }) => outcome),
      [code, code, 'ok'],
    )
  }
})

test('an answer without what EC2 promises is an Ec2Error too', async (t) => {
  const empty = '<CreateNetworkInterfaceResponse><requestId>1</requestId></CreateNetworkInterfaceResponse>'
  const server = createServer((_request, response) => void response.end(empty)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const { client } = await clientUnderTest(t)
  process.env['AWS_ENDPOINT_URL'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  await assert.rejects(client.createEni(request('1')), refusedAs('Retry'))
})
