// The extender's server as it listens, and the words in which tests call it.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { pino } from 'pino'

import { ExtenderMetrics } from '../../src/extender/metrics.ts'
import { ExtenderServer } from '../../src/extender/server.ts'
import { ExtenderUnderTest, managed } from './extender-under-test.ts'
import { upf } from './ledger-world.ts'

/** As Go sends a Pod: kind and apiVersion absent, unset fields null. */
export function podOf(uid = 'pod-1', devices = '1') {
  const resources = { limits: { [upf]: devices }, requests: null }
  const containers = [{ name: 'upf', image: 'upf', resources }]
  const metadata = { name: uid, namespace: 'cnf', uid, creationTimestamp: null }
  return { metadata, spec: { containers, initContainers: null, nodeName: undefined }, status: {} }
}

/** The real server on a port of its own, over an extender under test. */
export async function serving(t: TestContext, setup: Parameters<typeof ExtenderUnderTest.start>[1] = {}) {
  const extender = await ExtenderUnderTest.start(t, setup)
  const listening = Promise.withResolvers<number>()
  const log = pino({}, { write: (line: string) => hear(JSON.parse(line) as Line) })
  const hear = ({ msg, address }: Line) => msg === 'listening' && address && listening.resolve(address.port)
  const metrics = new ExtenderMetrics()
  let waitsFor: string | undefined
  const { ledger, binder, wakeUp } = extender
  const notReady = () => waitsFor
  const server = new ExtenderServer({ ledger, binder, wakeUp, managed, notReady, metrics, log })
  const stop = new AbortController()
  const running = server.run({ host: '127.0.0.1', port: 0 }, stop.signal)
  t.after(async () => {
    stop.abort()
    await running
  })
  const url = `http://127.0.0.1:${await listening.promise}`
  const call = async (verb: string, body: unknown, signal: AbortSignal = t.signal) => {
    const answer = await fetch(`${url}/${verb}`, { method: 'POST', body: asText(body), signal })
    return { status: answer.status, text: await answer.text() }
  }
  const ask = async (verb: string, body: unknown) => {
    const { status: code, text: said } = await call(verb, body)
    assert.equal(code, 200, said)
    return JSON.parse(said) as unknown
  }
  return { extender, metrics, stop, running, url, call, ask, waitFor: (what: string) => (waitsFor = what) }
}

interface Line {
  readonly msg: string
  readonly address?: { readonly port: number }
}

const asText = (body: unknown) => (typeof body === 'string' ? body : JSON.stringify(body))
