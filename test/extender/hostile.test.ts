// Whatever comes to the port of the verbs gets an answer or a clean close in time, and nothing of it harms the next request.
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'

import type { FilterResult, HostPriority } from '../../src/extender/protocol.ts'
import { RawConnection } from '../process/raw-connection.ts'
import { podOf, serving } from './server-under-test.ts'

const mebibyte = 1024 * 1024
const verbs = ['filter', 'prioritize', 'preempt', 'bind'] as const
const good: Record<(typeof verbs)[number], object> = {
  filter: { Pod: podOf(), Nodes: null, NodeNames: ['a'] },
  prioritize: { Pod: podOf(), Nodes: null, NodeNames: ['a'] },
  preempt: { Pod: podOf(), NodeNameToMetaVictims: { a: { Pods: [{ UID: 'v' }], NumPDBViolations: 0 } } },
  bind: { PodName: 'upf-0', PodNamespace: 'cnf', PodUID: 'uid', Node: 'a' },
}

type Server = Awaited<ReturnType<typeof serving>> & { readonly port: number; readonly stillServes: () => Promise<void> }

async function attacked(t: TestContext): Promise<Server> {
  const server = await serving(t)
  const stillServes = async () => {
    const answer = (await server.ask('filter', good.filter)) as FilterResult
    assert.deepEqual(answer.NodeNames, ['a'])
  }
  return { ...server, port: Number(new URL(server.url).port), stillServes }
}

function post(path: string, body: string | Buffer): Buffer {
  const head = `POST /${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), Buffer.from(body)])
}

/** An answer of the protocol, or a refusal in one line. */
function assertAnswer({ status, text }: { readonly status: number; readonly text: string }): void {
  if (status === 200) assert.equal(typeof JSON.parse(text), 'object')
  else {
    assert.ok([400, 404, 405, 413, 422].includes(status), `${status} ${text}`)
    assert.match(text, /^[^\p{Cc}]{1,500}\n$/u)
  }
}

for (const verb of verbs) {
  test(`${verb}: any bytes and any JSON are answered`, async (t) => {
    const { call, stillServes } = await attacked(t)
    const body = fc.oneof(
      fc.json(),
      fc.string({ unit: 'binary' }),
      fc.json().map((text) => text.slice(1)),
    )
    await fc.assert(
      fc.asyncProperty(body, async (text) => assertAnswer(await call(verb, text))),
      { numRuns: 150 },
    )
    await stillServes()
  })

  test(`${verb}: a good request of which any one part is something else is answered`, async (t) => {
    const { call, stillServes } = await attacked(t)
    const paths = pathsOf(good[verb])
    const request = fc
      .tuple(fc.constantFrom(...paths), fc.oneof(fc.jsonValue(), fc.constantFrom(-1, 0.5, '', 'x'.repeat(300))))
      .map(([path, value]) => replaced(good[verb], path, value))
    await fc.assert(
      fc.asyncProperty(request, async (bad) => assertAnswer(await call(verb, bad))),
      { numRuns: 150 },
    )
    await stillServes()
  })
}

function pathsOf(value: unknown, path: readonly string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [[...path]]
  return [[...path], ...Object.entries(value).flatMap(([key, part]) => pathsOf(part, [...path, key]))]
}

function replaced(value: unknown, [key, ...rest]: readonly string[], by: unknown): unknown {
  if (key === undefined) return by
  if (Array.isArray(value)) return value.map((part, index) => (String(index) === key ? replaced(part, rest, by) : part))
  return { ...(value as object), [key]: replaced((value as Record<string, unknown>)[key], rest, by) }
}

test('whatever nodes are called, filter answers for each, and prioritize in their order', async (t) => {
  const { ask } = await attacked(t)
  const oddities = ['', 'constructor', 'toString', 'hasOwnProperty', '0', '-1', 'a\u0000b', '\u2028', '𝒶', 'a/../b']
  const names = fc.uniqueArray(
    fc.oneof(fc.constantFrom(...oddities), fc.string({ unit: 'binary' })).filter((name) => name !== '__proto__'),
  )
  const asked = fc.asyncProperty(names, async (odd) => {
    const args = { ...good.filter, NodeNames: [...odd.filter((name) => name !== 'a'), 'a'] }
    const filtered = (await ask('filter', args)) as FilterResult
    assert.deepEqual(filtered.NodeNames, ['a'])
    const answered = [...filtered.NodeNames, ...Object.keys(filtered.FailedAndUnresolvableNodes)]
    // What is no Unicode comes as U+FFFD in its place.
    assert.deepEqual(answered.toSorted(), [...new Set(args.NodeNames.map((name) => name.toWellFormed()))].toSorted())
    const scored = (await ask('prioritize', args)) as HostPriority[]
    assert.deepEqual(
      scored.map(({ Host }) => Host),
      args.NodeNames.map((name) => name.toWellFormed()),
    )
  })
  await fc.assert(asked, { numRuns: 100 })
})

test('a name that no answer can have as a key is refused, and changes nothing for the next', async (t) => {
  const { call, stillServes } = await attacked(t)
  const { status } = await call('filter', { ...good.filter, NodeNames: ['a', '__proto__'] })
  assert.equal(status, 422)
  const victims = '{"__proto__":{"Pods":[],"NumPDBViolations":0},"a":{"Pods":[],"NumPDBViolations":0}}'
  const preempt = `{"Pod":${JSON.stringify(podOf())},"NodeNameToMetaVictims":${victims}}`
  const { text } = await call('preempt', preempt)
  assert.equal(text, '{"NodeNameToMetaVictims":{"a":{"Pods":[],"NumPDBViolations":0}}}')
  await stillServes()
})

test('100,000 node names are answered', async (t) => {
  const { ask } = await attacked(t)
  const NodeNames = Array.from({ length: 100_000 }, (_, index) => `ip-10-0-${index}.eu-central-1.compute.internal`)
  const answer = (await ask('filter', { ...good.filter, NodeNames })) as FilterResult
  assert.equal(Object.keys(answer.FailedAndUnresolvableNodes).length, NodeNames.length)
  assert.equal(((await ask('prioritize', { ...good.prioritize, NodeNames })) as object[]).length, NodeNames.length)
})

const large: [what: string, body: string, status: number, says: RegExp][] = [
  ['deep arrays', '['.repeat(4 * mebibyte) + ']'.repeat(4 * mebibyte), 413, /more than 200000 values/],
  ['deep arrays without an end', '['.repeat(8 * mebibyte), 413, /more than 200000 values/],
  ['deep objects', '{"":'.repeat(mebibyte) + '1' + '}'.repeat(mebibyte), 413, /more than 200000 values/],
  ['millions of objects', `[${'{},'.repeat(2 * mebibyte)}{}]`, 413, /more than 200000 values/],
  ['as deep as may be', '['.repeat(199_999) + ' '.repeat(mebibyte), 400, /not JSON/],
  ['one long text', JSON.stringify('\n'.repeat(3 * mebibyte)), 422, /body at top level/],
  [
    'a hundred thousand containers that are none',
    JSON.stringify({ ...good.filter, Pod: { ...podOf(), spec: { containers: Array(100_000).fill(null) } } }),
    422,
    /body at Pod\.spec\.containers/,
  ],
  [
    'a key of megabytes',
    JSON.stringify({
      ...good.filter,
      Pod: { ...podOf(), spec: { containers: [{ resources: { limits: { ['x\n'.repeat(mebibyte)]: 1 } } }] } },
    }),
    422,
    /body at Pod\.spec\.containers\.0\.resources\.limits/,
  ],
]
for (const [what, body, status, says] of large) {
  test(`${what}: ${status} in one short line, and other requests are answered meanwhile`, async (t) => {
    const { call, stillServes } = await attacked(t)
    const [answer] = await Promise.all([call('filter', body), stillServes()])
    assert.equal(answer.status, status)
    assertAnswer(answer)
    assert.match(answer.text, says)
    await stillServes()
  })
}

test('bodies that are large together are refused before they fill the memory', async (t) => {
  const { port, stillServes } = await attacked(t)
  const senders = await Promise.all(Array.from({ length: 12 }, () => RawConnection.open(t, port)))
  const head = `POST /filter HTTP/1.1\r\nhost: x\r\ncontent-length: ${8 * mebibyte}\r\n\r\n`
  const almost = Buffer.alloc(8 * mebibyte - 1, ' ')
  for (const sender of senders) sender.send(head, almost)
  await Promise.all(senders.map(({ closed }) => closed))
  const statuses = senders.flatMap((sender) => sender.statuses)
  assert.ok(statuses.includes(503))
  assert.ok(
    statuses.every((status) => status === 503 || status === 408),
    statuses.join(),
  )
  await stillServes()
})

const dawdlers: [what: string, bytes: string, says: RegExp][] = [
  ['says nothing', '', /^HTTP\/1\.1 408 /],
  ['stops in the first line', 'POST /fil', /^HTTP\/1\.1 408 /],
  ['stops in its head', 'POST /filter HTTP/1.1\r\nhost: x\r\n', /^HTTP\/1\.1 408 /],
  [
    'stops in its body',
    'POST /filter HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{',
    /body did not arrive within 2 s/,
  ],
  [
    'never ends its chunks',
    'POST /filter HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n',
    /within 2 s/,
  ],
  ['sends a body where none is read', 'POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{', /^HTTP\/1\.1 404 /],
  ['speaks no HTTP', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc', /^HTTP\/1\.1 400 /],
  ['has two lengths', 'POST /filter HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}', /^HTTP\/1\.1 400 /],
  ['has a head without end', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\n\r\n`, /^HTTP\/1\.1 431 /],
  ['wants a tunnel', 'CONNECT 10.0.0.1:443 HTTP/1.1\r\nhost: x\r\n\r\n', /^$/],
]
for (const [what, bytes, says] of dawdlers) {
  test(`a client that ${what} is closed in time, and others are served meanwhile`, async (t) => {
    const { port, stillServes } = await attacked(t)
    const dawdler = await RawConnection.open(t, port)
    dawdler.send(Buffer.from(bytes, 'latin1'))
    await stillServes()
    await dawdler.closed
    assert.match(dawdler.received, says)
    await stillServes()
  })
}

test('a client that sends its head byte by byte has two seconds for all of it', async (t) => {
  const { port } = await attacked(t)
  const dawdler = await RawConnection.open(t, port)
  const dripping = setInterval(() => dawdler.send('x'), 100)
  dawdler.send('POST /filter HTTP/1.1\r\nx: ')
  await dawdler.closed
  clearInterval(dripping)
  assert.deepEqual(dawdler.statuses, [408])
})

test('a client that has said all it will, half-closed, is closed', async (t) => {
  const { port, extender, stillServes } = await attacked(t)
  const { uid } = extender.addPod('upf-0')
  const half = await RawConnection.open(t, port, { allowHalfOpen: true })
  half.socket.end(post('bind', JSON.stringify({ ...good.bind, PodUID: uid })))
  await half.closed
  await stillServes()
  assert.equal(extender.bindings.length, 0)
})

test('requests behind each other on one connection are answered in their order', async (t) => {
  const { port } = await attacked(t)
  const client = await RawConnection.open(t, port)
  const paths = ['filter', 'bind', 'preempt', 'prioritize']
  client.send(
    Buffer.concat(paths.map((path) => post(path, JSON.stringify({ ...good.filter, ...good.preempt, ...good.bind })))),
  )
  await client.answers(4)
  assert.match(client.received, /"NodeNames":\["a"\].*"Error":"pod was deleted".*NodeNameToMetaVictims.*"Host":"a"/s)
})

test('far too many requests on one connection close it, and no other', async (t) => {
  const { port, stillServes, extender } = await attacked(t)
  const { uid } = extender.addPod('upf-0')
  const client = await RawConnection.open(t, port)
  const bind = post('bind', JSON.stringify({ ...good.bind, PodUID: uid }))
  client.send(Buffer.concat(Array.from({ length: 1_000 }, () => bind)))
  await client.closed
  await stillServes()
})

test('a bind behind another on its connection ends with the connection, too', async (t) => {
  const { port, extender, metrics } = await attacked(t)
  const claims = [extender.addPod('upf-0'), extender.addPod('upf-1')]
  const client = await RawConnection.open(t, port)
  for (const { name, uid } of claims)
    client.send(post('bind', JSON.stringify({ ...good.bind, PodName: name, PodUID: uid })))
  for (const claim of claims) await extender.claimed(claim)
  client.socket.destroy()
  const waiting = async () => /^jiteni_extender_binds_waiting (\d+)$/m.exec(await metrics.registry.metrics())?.[1]
  while ((await waiting()) !== '0') await new Promise(setImmediate)
  assert.equal(extender.bindings.length, 0)
})

test('whoever asks is served beside more idle connections than are kept', async (t) => {
  const { port, stillServes } = await attacked(t)
  const first = await RawConnection.open(t, port)
  const others: RawConnection[] = []
  while (others.length < 1_000) others.push(await RawConnection.open(t, port))
  await first.closed
  assert.equal(first.received, '')
  await stillServes()
  const last = others.at(-1) ?? assert.fail()
  last.send(post('filter', JSON.stringify(good.filter)))
  await last.answers(1)
  assert.deepEqual(last.statuses, [200])
})

test('ten thousand bad calls leave nothing behind', async (t) => {
  const { url, metrics, stillServes } = await attacked(t)
  const bad = ['{', '[]', '{"Pod":null}', JSON.stringify({ ...good.filter, NodeNames: [1] }), 'x'.repeat(1_000)]
  const strike = async (calls: number) => {
    const port = Number(new URL(url).port)
    for (let done = 0; done < calls; done += 1_000) {
      const client = await RawConnection.open(t, port)
      for (let call = 1; call <= 1_000; call++) {
        client.send(post(verbs[call % 4] ?? 'filter', bad[call % 5] ?? ''))
        await client.answers(1)
        client.forget()
      }
      client.socket.destroy()
      await client.closed
    }
  }
  await strike(1_000)
  const before = heapAfterCollection()
  await strike(10_000)
  const grown = heapAfterCollection() - before
  t.diagnostic(`heap grew by ${Math.round(grown / 1024)} KiB`)
  assert.ok(grown < 2 * mebibyte, `${grown} bytes`)
  assert.match(await metrics.registry.metrics(), /^jiteni_extender_binds_waiting 0$/m)
  await stillServes()
})

function heapAfterCollection(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
  return process.memoryUsage().heapUsed
}
