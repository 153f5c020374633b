// The attacher dies after each of its calls in turn, those to EC2 and the writes to Kubernetes, and another one takes over: one
// ENI, attached, and none left in the end.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'

import { checkAccount, checkEmpty } from './account-check.ts'
import { AttacherUnderTest } from './attacher-under-test.ts'
import { resource } from './attacher-world.ts'
import { CrashPoint } from './crash-point.ts'

/** Tells the story once for each call that it takes, the attacher dying after the first, after the second, and so on. */
async function dieAfterEachCall(
  t: TestContext,
  tell: (attacher: AttacherUnderTest) => Promise<void>,
): Promise<string[]> {
  const lastCalls: string[] = []
  for (let at = 1; ; at++) {
    const point = new CrashPoint(at)
    await t.test(`it dies after call ${at}`, { timeout: 15_000 }, async (t2) => {
      let isOver = false
      t2.after(() => void (isOver = true))
      const attacher = await AttacherUnderTest.prepare(t2)
      const stop = attacher.startControllers(point)
      void point.crashed.then(async () => {
        await stop()
        // The last call of all may be the end of the story.
        if (isOver) return
        // Takes over after the lease has run out.
        attacher.clock.jump(61_000)
        attacher.startControllers()
      })
      await tell(attacher)
      assert.ok(attacher.created <= 1, 'no second ENI')
    })
    if (point.lastCall === undefined) return lastCalls
    lastCalls.push(point.lastCall)
  }
}

test('from intent to release', async (t) => {
  const calls = await dieAfterEachCall(t, async (attacher) => {
    attacher.addNodeENI('upf', { dpdkResourceName: resource, releaseAfter: '0s', sourceDestCheck: false })
    const claim = attacher.addPod('upf-0')
    attacher.addIntent('upf-1', claim)
    const { status } = await attacher.attached('upf-1')
    assert.equal(status?.eni?.failure, undefined)
    const eni = attacher.ec2.state.eni(status?.eni?.eniID ?? '')
    assert.equal(eni.attachment?.status, 'attached')
    assert.equal(eni.attachment.deleteOnTermination, true)
    assert.equal(eni.sourceDestCheck, false)
    checkAccount(attacher)
    attacher.endPod(claim)
    await attacher.gone('upf-1')
    checkEmpty(attacher)
  })
  for (const call of [
    'createEni',
    'setSourceDestCheck',
    'attachEni',
    'setDeleteOnTermination',
    'detachEni',
    'deleteEni',
  ]) {
    assert.ok(calls.includes(call), `it has died after ${call}`)
  }
})

test('a pod that ends as soon as its ENI is asked for', async (t) => {
  const calls = await dieAfterEachCall(t, async (attacher) => {
    attacher.addNodeENI('upf', { dpdkResourceName: resource, releaseAfter: '0s' })
    const claim = attacher.addPod('upf-0')
    attacher.addIntent('upf-1', claim)
    await attacher.attachmentIs('upf-1', ({ status }) => status?.eni?.plannedTime !== undefined)
    attacher.endPod(claim)
    await attacher.gone('upf-1')
    checkEmpty(attacher)
  })
  assert.ok(calls.includes('createEni'))
})

test('an Eager ENI, and the end of its NodeENI', async (t) => {
  await dieAfterEachCall(t, async (attacher) => {
    attacher.addNodeENI('n6', { nodeSelector: { node: 'a1' } })
    await attacher.attachmentsAre(([one]) => one?.status?.eni?.attached === true)
    checkAccount(attacher)
    attacher.api.store('nodeenis').delete('n6')
    await attacher.api.until('nodeenis', 'n6', (object) => object === undefined)
    checkEmpty(attacher)
  })
})
