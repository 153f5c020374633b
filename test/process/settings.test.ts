// Settings: what is wrong is one plain line, and the program that hears it ends with exit code 1.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { z } from 'zod'

import { listenAddress, logLevel, readSettings, resourceList, SettingsError } from '../../src/process/settings.ts'

const schema = z.object({ RESOURCES: resourceList, LISTEN: listenAddress, LEVEL: logLevel })
const good = { RESOURCES: 'intel.com/upf, intel.com/n3', LISTEN: '127.0.0.1:8888' }

test('settings are read from the environment, which may hold more', () => {
  assert.deepEqual(readSettings(schema, { ...good, HOME: '/root' }), {
    RESOURCES: new Set(['intel.com/upf', 'intel.com/n3']),
    LISTEN: { host: '127.0.0.1', port: 8888 },
    LEVEL: 'info',
  })
})

test('all that is wrong is told at once, each by its name, in one line', () => {
  const wrong = { LISTEN: '8888', LEVEL: 'loud' }
  assert.throws(
    () => readSettings(schema, wrong),
    (error: unknown) => {
      assert.ok(error instanceof SettingsError)
      for (const name of ['RESOURCES', 'LISTEN', 'LEVEL']) assert.match(error.message, new RegExp(`${name}: `))
      assert.doesNotMatch(error.message, /\n/)
      return true
    },
  )
})

test('a resource list with a gap or a name that is none is refused', () => {
  for (const text of ['intel.com/a,,intel.com/b', 'upf', 'intel.com/']) {
    assert.throws(() => readSettings(schema, { ...good, RESOURCES: text }), /RESOURCES: must be resource names such as/)
  }
})

test('a setting that is there without a value is not set', () => {
  assert.throws(
    () => readSettings(schema, { ...good, RESOURCES: '' }),
    /^SettingsError: environment: RESOURCES: is not set$/,
  )
})

test('an IPv6 address is written in brackets and listened on without them', () => {
  assert.deepEqual(listenAddress.parse('[::1]:9090'), { host: '::1', port: 9090 })
})

test('an address without a host, without a port or beyond the last port is refused', () => {
  for (const text of ['', ':80', 'localhost', 'localhost:', 'localhost:http', 'localhost:65536']) {
    assert.equal(listenAddress.safeParse(text).success, false, text)
  }
})

test('a program without its settings says one line on stderr and exits with 1', async () => {
  const main = new URL('../../src/extender/main.ts', import.meta.url).pathname
  const { promise, resolve } = Promise.withResolvers<{ code: unknown; stderr: string; stdout: string }>()
  execFile(process.execPath, [main], { env: {} }, (error, stdout, stderr) => {
    resolve({ code: error?.code, stderr, stdout })
  })
  const { code, stderr, stdout } = await promise
  assert.equal(code, 1)
  assert.match(stderr, /^environment: JIT_ENI_RESOURCES: [^\n]+\n$/)
  assert.equal(stdout, '')
})
