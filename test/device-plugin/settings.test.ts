// A device plugin that cannot work says in one line what is missing, and ends with exit code 1.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../src/device-plugin/main.ts', import.meta.url))

function runWith(env: Readonly<Record<string, string>>) {
  return spawnSync(process.execPath, [main], { env, encoding: 'utf8' })
}

test('without the directory of the plugin sockets', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'settings-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const missing = join(directory, 'device-plugins')
  const { status, stderr } = runWith({
    NODE_NAME: 'node-a',
    JIT_ENI_RESOURCES: 'intel.com/upf_dataplane',
    JIT_ENI_DEVICE_PLUGINS_DIR: missing,
  })
  assert.equal(status, 1)
  assert.equal(
    stderr,
    `environment: JIT_ENI_DEVICE_PLUGINS_DIR: there is no directory ${missing}: mount the kubelet's device plugin directory\n`,
  )
})

test('with a topology that is none', () => {
  const { status, stderr } = runWith({
    NODE_NAME: 'node-a',
    JIT_ENI_RESOURCES: 'intel.com/upf',
    JIT_ENI_TOPOLOGY: 'node1',
  })
  assert.equal(status, 1)
  assert.equal(stderr, 'environment: JIT_ENI_TOPOLOGY: must be auto, none or the number of a NUMA node\n')
})

test('without the name of its node', () => {
  const { status, stderr } = runWith({ JIT_ENI_RESOURCES: 'intel.com/upf_dataplane' })
  assert.equal(status, 1)
  assert.equal(stderr, 'environment: NODE_NAME: set it to spec.nodeName of this pod\n')
})

test('with a PCI device that is none', () => {
  const { status, stderr } = runWith({
    NODE_NAME: 'node-a',
    JIT_ENI_RESOURCES: 'intel.com/upf_dataplane',
    JIT_ENI_ALLOWED_DEVICES: '1d0f:ec20,ena',
  })
  assert.equal(status, 1)
  assert.equal(
    stderr,
    'environment: JIT_ENI_ALLOWED_DEVICES: must be PCI ids such as 1d0f:ec20, with commas between them\n',
  )
})
