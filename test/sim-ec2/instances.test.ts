// What becomes of interfaces and of their devices when instances stop, start and end, and when the guest is slow.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { DescribeInstancesRequest } from '@aws-sdk/client-ec2'

import type { Hypervisor } from '../../sim/ec2/state/hypervisor.ts'

import { ec2UnderTest, refused } from './ec2-under-test.ts'

/** Writes down what is plugged and unplugged. */
function recorder(): Hypervisor & { readonly log: string[] } {
  const log: string[] = []
  return {
    log,
    plug: (instanceId, { eniId, networkCard, deviceIndex }) =>
      void log.push(`plug ${eniId} ${instanceId} ${networkCard}/${deviceIndex}`),
    unplug: (instanceId, { eniId }) => void log.push(`unplug ${eniId} ${instanceId}`),
  }
}

test('the cards of running instances are plugged in from the start, those of stopped ones are not', async (t) => {
  const hypervisor = recorder()
  await ec2UnderTest(t, { hypervisor })
  assert.ok(hypervisor.log.includes('plug eni-primary i-large 0/0'))
  assert.equal(hypervisor.log.length, 5)
})

test('the device appears deviceMs after the attach, whatever the status says', async (t) => {
  const hypervisor = recorder()
  const delays = { attachMs: 1000, deviceMs: 5000 }
  const { ec2, clock, create, attach } = await ec2UnderTest(t, { hypervisor, delays })
  const eniId = await create()
  await attach(eniId, 'i-cards', 1, 3)
  clock.advance(4999)
  assert.equal(ec2.state.eni(eniId).attachment?.status, 'attached')
  assert.equal(hypervisor.log.length, 5)
  clock.advance(1)
  assert.equal(hypervisor.log.at(-1), `plug ${eniId} i-cards 3/1`)
})

test('a device whose interface is detached before it came never comes', async (t) => {
  const hypervisor = recorder()
  const { client, clock, create, attach } = await ec2UnderTest(t, { hypervisor, delays: { deviceMs: 5000 } })
  const AttachmentId = await attach(await create(), 'i-large', 1)
  await client.detachNetworkInterface({ AttachmentId })
  clock.advance(5000)
  assert.equal(hypervisor.log.length, 5)
})

test('what was due for an attachment does not happen to the next one of the same interface', async (t) => {
  const hypervisor = recorder()
  const { ec2, client, clock, create, attach } = await ec2UnderTest(t, { hypervisor, delays: { deviceMs: 5000 } })
  const eniId = await create()
  const AttachmentId = await attach(eniId, 'i-large', 1)
  clock.advance(3000)
  await client.detachNetworkInterface({ AttachmentId })
  await attach(eniId, 'i-cards', 1)
  clock.advance(2000)
  assert.equal(hypervisor.log.length, 5)
  clock.advance(3000)
  assert.equal(hypervisor.log.at(-1), `plug ${eniId} i-cards 0/1`)

  ec2.setDelays({ detachMs: 2000 })
  const second = ec2.state.eni(eniId).attachment?.attachmentId
  await client.detachNetworkInterface({ AttachmentId: second })
  clock.advance(1000)
  await client.detachNetworkInterface({ AttachmentId: second, Force: true })
  clock.advance(1000)
  const third = await attach(eniId, 'i-large', 1)
  clock.advance(10_000)
  assert.equal(ec2.state.eni(eniId).attachment?.attachmentId, third)
})

test('an interface that is detached while attaching is never attached again by the clock', async (t) => {
  const delays = { attachMs: 1000, detachMs: 5000 }
  const { ec2, client, clock, create, attach } = await ec2UnderTest(t, { delays })
  const eniId = await create()
  const AttachmentId = await attach(eniId, 'i-large', 1)
  await client.detachNetworkInterface({ AttachmentId })
  clock.advance(1000)
  assert.equal(ec2.state.eni(eniId).attachment?.status, 'detaching')
})

test('an interface stays detaching until the guest lets go of the device, unless the detach is forced', async (t) => {
  const letGo = Promise.withResolvers<void>()
  const hypervisor: Hypervisor = { plug() {}, unplug: () => letGo.promise }
  const { ec2, client, create, attach } = await ec2UnderTest(t, { hypervisor })
  const [held, forced] = [await create(), await create()]
  const heldAttachment = await attach(held, 'i-large', 1)
  const forcedAttachment = await attach(forced, 'i-large', 2)

  await client.detachNetworkInterface({ AttachmentId: heldAttachment })
  await client.detachNetworkInterface({ AttachmentId: forcedAttachment, Force: true })
  assert.equal(ec2.state.eni(held).status, 'detaching')
  assert.equal(ec2.state.eni(forced).status, 'available')

  const available = new Promise<void>((resolve) => {
    ec2.state.watch(() => ec2.state.eni(held).status === 'available' && resolve())
  })
  letGo.resolve()
  await available
})

test('a slow plug is over before the unplug of the same card begins', async (t) => {
  const log: string[] = []
  const plugging = Promise.withResolvers<void>()
  const hypervisor: Hypervisor = {
    async plug(instanceId, { deviceIndex }) {
      if (instanceId !== 'i-large' || deviceIndex === 0) return
      await plugging.promise
      log.push('plugged')
    },
    unplug: () => void log.push('unplugged'),
  }
  const { ec2, client, create, attach } = await ec2UnderTest(t, { hypervisor })
  const eniId = await create()
  const AttachmentId = await attach(eniId, 'i-large', 1)
  await client.detachNetworkInterface({ AttachmentId })
  assert.deepEqual(log, [])
  const available = new Promise<void>((resolve) => {
    ec2.state.watch(() => ec2.state.eni(eniId).status === 'available' && resolve())
  })
  plugging.resolve()
  await available
  assert.deepEqual(log, ['plugged', 'unplugged'])
})

test('terminate unplugs all, deletes what has DeleteOnTermination and leaves the rest available', async (t) => {
  const hypervisor = recorder()
  const { ec2, client, clock, create, attach } = await ec2UnderTest(t, { hypervisor, delays: { stopMs: 30_000 } })
  const [goes, stays] = [await create('subnet-tiny'), await create('subnet-tiny')]
  const AttachmentId = await attach(goes, 'i-large', 1)
  await client.modifyNetworkInterfaceAttribute({
    NetworkInterfaceId: goes,
    Attachment: { AttachmentId, DeleteOnTermination: true },
  })
  await attach(stays, 'i-large', 2)

  ec2.terminateInstance('i-large')
  assert.deepEqual(
    hypervisor.log.slice(-3),
    ['eni-primary', goes, stays].map((eniId) => `unplug ${eniId} i-large`),
  )
  assert.equal(ec2.state.instance('i-large').state, 'shutting-down')
  assert.equal(ec2.state.eni(goes).status, 'detaching')

  clock.advance(30_000)
  assert.equal(ec2.state.instance('i-large').state, 'terminated')
  assert.equal(ec2.state.findEni('eni-primary'), undefined)
  assert.equal(ec2.state.findEni(goes), undefined)
  assert.equal(ec2.state.eni(stays).status, 'available')
  assert.equal(ec2.state.subnet('subnet-tiny').addresses.free, 10)
})

test('a terminated instance is there for an hour, and then its id is unknown', async (t) => {
  const { ec2, client, clock } = await ec2UnderTest(t, { delays: { stopMs: 30_000 } })
  const described = async () => {
    const { Reservations = [] } = await client.describeInstances({ InstanceIds: ['i-large'] })
    const instance = Reservations[0]?.Instances?.[0]
    return [instance?.State?.Name, instance?.NetworkInterfaces?.length]
  }
  ec2.terminateInstance('i-large')
  clock.advance(30_000 + 3_599_999)
  assert.deepEqual(await described(), ['terminated', 0])
  clock.advance(1)
  await refused(described(), 'InvalidInstanceID.NotFound', "The instance ID 'i-large' does not exist")
})

test('a terminated instance has nothing left, and is found by no subnet and no VPC', async (t) => {
  const { ec2, client, clock } = await ec2UnderTest(t, { delays: { stopMs: 30_000 } })
  const instancesOf = async (request: DescribeInstancesRequest) => {
    const { Reservations = [] } = await client.describeInstances(request)
    return Reservations.flatMap(({ Instances = [] }) => Instances)
  }
  const where = Object.entries({ 'subnet-id': 'subnet-a', 'vpc-id': 'vpc-1', 'private-dns-name': '*' })
  const foundBy = async () => {
    const found = where.map(([Name, value]) => instancesOf({ Filters: [{ Name, Values: [value] }] }))
    return (await Promise.all(found)).map((instances) => instances.some(({ InstanceId }) => InstanceId === 'i-large'))
  }
  ec2.terminateInstance('i-large')
  const [ending] = await instancesOf({ InstanceIds: ['i-large'] })
  assert.deepEqual([ending?.VpcId, ending?.SubnetId, ending?.State?.Name], ['vpc-1', 'subnet-a', 'shutting-down'])
  assert.deepEqual(await foundBy(), [true, true, true])
  clock.advance(30_000)
  const [over] = await instancesOf({ InstanceIds: ['i-large'] })
  assert.deepEqual(
    [over?.VpcId, over?.SubnetId, over?.PrivateIpAddress, over?.PrivateDnsName],
    [undefined, undefined, undefined, ''],
  )
  assert.deepEqual([over?.NetworkInterfaces, over?.SecurityGroups, over?.BlockDeviceMappings], [[], [], []])
  assert.deepEqual([over?.InstanceType, over?.Placement?.AvailabilityZone], ['m5.large', 'eu-north-1a'])
  assert.deepEqual(await foundBy(), [false, false, false])
})

test('an interface that is detached before its instance ends is left behind: DeleteOnTermination is lost', async (t) => {
  const delays = { detachMs: 3000, stopMs: 1000 }
  const { ec2, client, clock, create, attach } = await ec2UnderTest(t, { delays })
  const [detached, detaching] = [await create(), await create()]
  const detach = async (NetworkInterfaceId: string, index: number) => {
    const AttachmentId = await attach(NetworkInterfaceId, 'i-large', index)
    const Attachment = { AttachmentId, DeleteOnTermination: true }
    await client.modifyNetworkInterfaceAttribute({ NetworkInterfaceId, Attachment })
    await client.detachNetworkInterface({ AttachmentId })
  }
  await detach(detached, 1)
  clock.advance(3000)
  await detach(detaching, 2)
  ec2.terminateInstance('i-large')
  clock.advance(1000)
  assert.equal(ec2.state.instance('i-large').state, 'terminated')
  assert.deepEqual(
    [detached, detaching].map((eniId) => ec2.state.findEni(eniId)?.status),
    ['available', 'available'],
  )
})

test('a stopped instance keeps its attachments, takes new ones, and finds all cards when it starts', async (t) => {
  const hypervisor = recorder()
  const { ec2, create, attach } = await ec2UnderTest(t, { hypervisor })
  const [before, during] = [await create(), await create()]
  await attach(before, 'i-large', 1)
  ec2.stopInstance('i-large')
  assert.equal(ec2.state.instance('i-large').state, 'stopped')
  assert.equal(ec2.state.eni(before).attachment?.status, 'attached')
  await attach(during, 'i-large', 2)
  assert.equal(hypervisor.log.at(-1), `unplug ${before} i-large`)

  ec2.startInstance('i-large')
  assert.deepEqual(hypervisor.log.slice(-3), [
    'plug eni-primary i-large 0/0',
    `plug ${before} i-large 0/1`,
    `plug ${during} i-large 0/2`,
  ])
})

test('an instance that is launched or started is pending first: it takes no interface and has no cards', async (t) => {
  const hypervisor = recorder()
  const { ec2, client, clock, create, attach } = await ec2UnderTest(t, { hypervisor, delays: { startMs: 20_000 } })
  ec2.launchInstance({ instanceId: 'i-new', instanceType: 'm5.large', subnetId: 'subnet-a', state: 'pending' })
  ec2.startInstance('i-stopped')
  ec2.launchInstance({ instanceId: 'i-ends', instanceType: 'm5.large', subnetId: 'subnet-a', state: 'pending' })
  ec2.terminateInstance('i-ends')
  const stateOf = async (InstanceId: string) => {
    const { Reservations = [] } = await client.describeInstances({ InstanceIds: [InstanceId] })
    return Reservations[0]?.Instances?.[0]?.State
  }
  clock.advance(19_999)
  assert.deepEqual(await stateOf('i-new'), { Code: 0, Name: 'pending' })
  assert.deepEqual(await stateOf('i-stopped'), { Code: 0, Name: 'pending' })
  await refused(attach(await create(), 'i-new', 1), 'IncorrectState', "Instance 'i-new' is not 'running'.")
  assert.equal(hypervisor.log.length, 5)
  clock.advance(1)
  assert.deepEqual(await stateOf('i-new'), { Code: 16, Name: 'running' })
  assert.deepEqual(await stateOf('i-ends'), { Code: 48, Name: 'terminated' })
  assert.equal(hypervisor.log.length, 7)
  await attach(await create(), 'i-new', 1)
})

test('an instance may be launched later, and an interface may be detached by hand', async (t) => {
  const { ec2, create, attach } = await ec2UnderTest(t)
  ec2.launchInstance({ instanceId: 'i-new', instanceType: 'm8i.96xlarge', subnetId: 'subnet-b' })
  const eniId = await create('subnet-b')
  await attach(eniId, 'i-new', 23)
  ec2.detachByHand(eniId)
  assert.equal(ec2.state.eni(eniId).status, 'available')
})

test('an instance that is terminated while it stops ends terminated, never stopped', async (t) => {
  const { ec2, clock } = await ec2UnderTest(t, { delays: { stopMs: 10_000 } })
  ec2.stopInstance('i-large')
  clock.advance(5000)
  ec2.terminateInstance('i-large')
  clock.advance(5000)
  assert.equal(ec2.state.instance('i-large').state, 'shutting-down')
  clock.advance(5000)
  assert.equal(ec2.state.instance('i-large').state, 'terminated')
})
