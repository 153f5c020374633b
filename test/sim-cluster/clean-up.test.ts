// All that was begun is undone in reverse order, whatever fails on the way, and what is left is said.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allUndone, CleanUp, LeftBehind } from '../../sim/cluster/clean-up.ts'

function remains(...texts: readonly string[]) {
  return (error: unknown) => {
    assert.ok(error instanceof LeftBehind)
    assert.deepEqual(error.remains, texts)
    return true
  }
}

function failing(message: string): () => Promise<never> {
  return () => Promise.reject(new Error(message))
}

test('undoes in reverse order, once', async () => {
  const undone: string[] = []
  const cleanUp = new CleanUp()
  cleanUp.deferLast(() => undone.push('place'))
  cleanUp.defer(() => undone.push('control plane'))
  cleanUp.defer(() => undone.push('nodes'))
  await Promise.all([cleanUp.run(), cleanUp.run()])
  assert.deepEqual(undone, ['nodes', 'control plane', 'place'])
})

test('goes on after a failure, but keeps what tells the next start of the rest', async () => {
  const undone: string[] = []
  const cleanUp = new CleanUp()
  cleanUp.deferLast(() => undone.push('place'))
  cleanUp.defer(() => undone.push('control plane'))
  cleanUp.defer(failing('node-a does not end'))
  cleanUp.defer(() => undone.push('programs'))
  await assert.rejects(cleanUp.run(), remains('node-a does not end'))
  assert.deepEqual(undone, ['programs', 'control plane'])
})

test('says of several that are undone together, and of a clean-up within, each failure', async () => {
  const inner = new CleanUp()
  inner.defer(() => allUndone([failing('node-a')(), Promise.resolve(), failing('node-b')()]))
  const outer = new CleanUp()
  outer.defer(failing('EC2'))
  outer.defer(() => inner.run())
  await assert.rejects(outer.run(), remains('node-a', 'node-b', 'EC2'))
})

test('a start that fails undoes what it had begun, one that succeeds leaves it to the caller', async () => {
  const undone: string[] = []
  const start = async (then: () => void) => {
    await using cleanUp = new CleanUp()
    cleanUp.defer(() => undone.push('begun'))
    then()
    return cleanUp.move()
  }
  const started = await start(() => undefined)
  assert.deepEqual(undone, [])
  await started.run()
  assert.deepEqual(undone, ['begun'])
  const broken = () => {
    throw new Error('no kubelet')
  }
  await assert.rejects(start(broken), /no kubelet/)
  assert.deepEqual(undone, ['begun', 'begun'])
})
