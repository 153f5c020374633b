// What is read out of the API server's audit log: the Bindings since a moment with their times, and who has written what.
import assert from 'node:assert/strict'
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { AuditWindow, bindingTimesOf, writesOf } from '../../sim/cluster/audit-window.ts'

const scheduler = 'system:serviceaccount:jit-eni:jit-eni-scheduler'

function line(parts: {
  verb?: string
  user?: string
  agent?: string
  ref?: object
  code?: number
  at?: string
}): string {
  const { verb = 'create', user = scheduler, agent = 'jit-eni', code = 201, at = '2026-01-01T00:00:00.000000Z' } = parts
  return `${JSON.stringify({
    kind: 'Event',
    verb,
    user: { username: user },
    userAgent: agent,
    objectRef: { resource: 'pods', namespace: 'bench', name: 'p', subresource: 'binding', ...parts.ref },
    responseStatus: { code },
    requestReceivedTimestamp: at,
  })}\n`
}

async function logFile(t: TestContext, text: string): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'jit-eni-audit-'))
  t.after(() => rm(directory, { recursive: true }))
  const file = path.join(directory, 'audit.log')
  await writeFile(file, text)
  return file
}

test('has what was written since it was opened, without a line that is half written', async (t) => {
  const file = await logFile(t, line({ ref: { name: 'before' } }))
  const window = await AuditWindow.open(file)
  await appendFile(file, line({ ref: { name: 'after' } }) + line({ ref: { name: 'half' } }).slice(0, 40))
  const events = await window.events()
  assert.deepEqual(
    events.map(({ objectRef }) => objectRef.name),
    ['after'],
  )
})

test('Bindings of the namespace that were taken, by the time at which they were received', async (t) => {
  const file = await logFile(t, '')
  const window = await AuditWindow.open(file)
  const text = [
    line({ at: '2026-01-01T00:00:02.000000Z' }),
    line({ at: '2026-01-01T00:00:01.500000Z' }),
    line({ at: '2026-01-01T00:00:03.000000Z', code: 409 }),
    line({ at: '2026-01-01T00:00:04.000000Z', ref: { namespace: 'other' } }),
    line({ at: '2026-01-01T00:00:05.000000Z', ref: { subresource: 'status' } }),
  ].join('')
  await appendFile(file, text)
  const start = Date.UTC(2026, 0, 1)
  const times = bindingTimesOf(await window.events(), 'bench').map((at) => at - start)
  assert.deepEqual(times, [1_500, 2_000])
})

test('counts writes by who made them; the scheduler and the extender have one ServiceAccount', async (t) => {
  const file = await logFile(t, '')
  const window = await AuditWindow.open(file)
  const enia = { resource: 'eniattachments', subresource: undefined }
  const text = [
    line({}),
    line({}),
    line({ agent: 'kube-scheduler/v1.36.3', verb: 'patch', ref: { subresource: 'status' } }),
    line({ verb: 'create', ref: enia }),
    line({ verb: 'patch', user: 'system:serviceaccount:jit-eni:jit-eni-attacher', ref: enia }),
  ].join('')
  await appendFile(file, text)
  assert.deepEqual(
    [...writesOf(await window.events())],
    [
      ['extender: create pods/binding', 2],
      ['kube-scheduler: patch pods/status', 1],
      ['extender: create eniattachments', 1],
      ['attacher: patch eniattachments', 1],
    ],
  )
})
