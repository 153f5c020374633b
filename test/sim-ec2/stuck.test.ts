// Attachments that take long: drawn from a range, late in the guest, or stuck on order.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ec2InProcess } from './ec2-in-process.ts'

const dayMs = 86_400_000

function cards() {
  const plugged = new Set<string>()
  return {
    plugged,
    plug: (_instance: string, { eniId }: { eniId: string }) => void plugged.add(eniId),
    unplug: (_instance: string, { eniId }: { eniId: string }) => void plugged.delete(eniId),
  }
}

test('the next attach gets stuck attaching, without a device, until it is released', async (t) => {
  const hypervisor = cards()
  const { ec2, clock, create, attach } = await ec2InProcess(t, {
    hypervisor,
    delays: { attachMs: 2000, deviceMs: 3000 },
  })
  const [first, second] = [await create(), await create()]
  const release = ec2.stick('attaching')
  await attach(first, 'i-large', 1)
  await attach(second, 'i-large', 2)
  await clock.advance(dayMs)
  const statuses = () => [first, second].map((eniId) => ec2.state.eni(eniId).attachment?.status)
  assert.deepEqual(statuses(), ['attaching', 'attached'])
  assert.deepEqual([hypervisor.plugged.has(first), hypervisor.plugged.has(second)], [false, true])

  release()
  assert.deepEqual(statuses(), ['attached', 'attached'])
  assert.equal(hypervisor.plugged.has(first), true)
})

test('released early, it takes as long as any other', async (t) => {
  const { ec2, clock, create, attach } = await ec2InProcess(t, { delays: { attachMs: 2000 } })
  const release = ec2.stick('attaching')
  const eniId = await create()
  await attach(eniId, 'i-large', 1)
  release()
  await clock.advance(1999)
  assert.equal(ec2.state.eni(eniId).attachment?.status, 'attaching')
  await clock.advance(1)
  assert.equal(ec2.state.eni(eniId).attachment?.status, 'attached')
})

test('an order for one interface strikes no other, and may be taken back before it strikes', async (t) => {
  const { ec2, create, attach } = await ec2InProcess(t)
  const [first, second] = [await create(), await create()]
  ec2.stick('attaching', second)
  ec2.stick('attaching', first)()
  await attach(first, 'i-large', 1)
  await attach(second, 'i-large', 2)
  assert.deepEqual(
    [first, second].map((eniId) => ec2.state.eni(eniId).attachment?.status),
    ['attached', 'attaching'],
  )
})

test('what is stuck attaching can be detached, and attached anew; a late release does nothing to that', async (t) => {
  const hypervisor = cards()
  const { ec2, client, create, attach } = await ec2InProcess(t, { hypervisor })
  const eniId = await create()
  const release = ec2.stick('attaching')
  await client.detachNetworkInterface({ AttachmentId: await attach(eniId, 'i-large', 1) })
  assert.equal(ec2.state.eni(eniId).status, 'available')
  release()
  assert.equal(ec2.state.eni(eniId).status, 'available')
  assert.equal(hypervisor.plugged.has(eniId), false)
  await attach(eniId, 'i-large', 1)
  assert.equal(ec2.state.eni(eniId).attachment?.status, 'attached')
})

test('a machine that starts does not find a card that is stuck attaching', async (t) => {
  const hypervisor = cards()
  const { ec2, create, attach } = await ec2InProcess(t, { hypervisor })
  const release = ec2.stick('attaching')
  const eniId = await create()
  await attach(eniId, 'i-large', 1)
  ec2.stopInstance('i-large')
  ec2.startInstance('i-large')
  assert.equal(hypervisor.plugged.has(eniId), false)
  release()
  assert.equal(hypervisor.plugged.has(eniId), true)
})

test('a detach gets stuck detaching although the guest has let go; force or a release ends it', async (t) => {
  const hypervisor = cards()
  const { ec2, client, clock, create, attach } = await ec2InProcess(t, { hypervisor, delays: { detachMs: 2000 } })
  const [first, second] = [await create(), await create()]
  const attachments = [await attach(first, 'i-large', 1), await attach(second, 'i-large', 2)]
  const release = ec2.stick('detaching', first)
  ec2.stick('detaching', second)
  for (const AttachmentId of attachments) await client.detachNetworkInterface({ AttachmentId })
  await clock.advance(dayMs)
  const statuses = () => [first, second].map((eniId) => ec2.state.eni(eniId).status)
  assert.deepEqual(statuses(), ['detaching', 'detaching'])
  assert.equal(hypervisor.plugged.has(first), false)

  release()
  await client.detachNetworkInterface({ AttachmentId: attachments[1], Force: true })
  await clock.advance(2000)
  assert.deepEqual(statuses(), ['available', 'available'])
})

test('a forced detach uses up no order', async (t) => {
  const { ec2, client, create, attach } = await ec2InProcess(t)
  ec2.stick('detaching')
  const [first, second] = [await create(), await create()]
  await client.detachNetworkInterface({ AttachmentId: await attach(first, 'i-large', 1), Force: true })
  await client.detachNetworkInterface({ AttachmentId: await attach(second, 'i-large', 1) })
  assert.deepEqual(
    [first, second].map((eniId) => ec2.state.eni(eniId).status),
    ['available', 'detaching'],
  )
})

test('an instance that ends takes what is stuck with it', async (t) => {
  const { ec2, client, create, attach } = await ec2InProcess(t)
  const eniId = await create()
  const release = ec2.stick('detaching')
  await client.detachNetworkInterface({ AttachmentId: await attach(eniId, 'i-large', 1) })
  ec2.terminateInstance('i-large')
  assert.equal(ec2.state.eni(eniId).status, 'available')
  release()
  assert.equal(ec2.state.eni(eniId).status, 'available')
})

test('a delay may be a range: each attach draws its own, and the same seed draws the same', async (t) => {
  const drawn = async (seed: number) => {
    const { ec2, clock, create, attach } = await ec2InProcess(t, { seed, delays: { attachMs: [2000, 5000] } })
    const times: number[] = []
    for (let count = 0; count < 20; count++) {
      const eniId = await create()
      const start = clock.monotonic()
      await attach(eniId, 'i-large', 1)
      await clock.until(() => ec2.state.eni(eniId).attachment?.status === 'attached', dayMs)
      times.push(clock.monotonic() - start)
      ec2.detachByHand(eniId)
    }
    return times
  }
  const times = await drawn(1)
  assert.ok(Math.min(...times) >= 2000 && Math.max(...times) <= 5000, String(times))
  assert.ok(Math.max(...times) - Math.min(...times) > 1000, String(times))
  assert.deepEqual(await drawn(1), times)
  assert.notDeepEqual(await drawn(2), times)
})
