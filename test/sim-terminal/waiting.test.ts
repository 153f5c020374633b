// A wait ends when what it waits for is there, at its deadline with the words of what did not come, or by Ctrl-C.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Narrator } from '../../sim/terminal/narrator.ts'
import { Waiting } from '../../sim/terminal/waiting.ts'

const deadlineMs = 20

function waiting(signal: AbortSignal = new AbortController().signal): Waiting {
  const never = (_holds: () => boolean, until: AbortSignal) =>
    new Promise<void>((_resolve, reject) => {
      until.addEventListener('abort', () => reject(until.reason as Error))
    })
  return new Waiting({ say: new Narrator(() => undefined), observer: { until: never }, signal, deadlineMs })
}

test('a deadline tells what was waited for', async () => {
  const words = { message: 'waited 0.02 s in vain for this: two pods are Running' }
  await assert.rejects(
    waiting().until('two pods are Running', () => false),
    words,
  )
  await assert.rejects(
    waiting().poll('two pods are Running', async () => false),
    words,
  )
})

test('Ctrl-C ends a wait with its own reason', async () => {
  const interrupted = new AbortController()
  const wait = waiting(interrupted.signal).until('two pods are Running', () => false)
  interrupted.abort(new Error('interrupted by SIGINT'))
  await assert.rejects(wait, /interrupted by SIGINT/)
})

test('a failure before the deadline is its own', async () => {
  await assert.rejects(
    waiting().during('kubectl apply', () => Promise.reject(new Error('refused'))),
    /^Error: refused$/,
  )
})

test('what is there is not waited for', async () => {
  await waiting().poll('the resource', async () => true)
  assert.equal(await waiting().during('kubectl get', async () => 'output'), 'output')
})
