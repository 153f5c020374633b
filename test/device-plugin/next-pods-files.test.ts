// The files of a device go when nobody has it, and just then the next pod may be given it: that pod's files stay.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { pino } from 'pino'

import { AllocationRecords } from '../../src/device-plugin/allocation-record.ts'
import { deviceInfoFileName, DeviceInfoFiles } from '../../src/device-plugin/device-info.ts'
import { resource } from './cluster-in-memory.ts'

const silent = pino({ level: 'silent' })
const nodes = [{ containerPath: '/dev/vfio/3', hostPath: '/dev/vfio/3' }]
/** So many that their removal takes longer than to write one anew. */
const deviceIDs = Array.from({ length: 100 }, (_, slot) => `0000:${slot.toString(16).padStart(2, '0')}:00.0`)
const last = deviceIDs.at(-1) ?? ''

function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'jit-eni-files-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

test('a device-info file that is written while those of free devices are removed stays', async (t) => {
  const directory = directoryFor(t)
  const infos = new DeviceInfoFiles(directory, silent)
  for (const deviceID of deviceIDs) await infos.write(resource, deviceID)
  await Promise.all([infos.removeFree(() => true), infos.write(resource, last)])
  assert.ok(existsSync(join(directory, deviceInfoFileName(resource, last))))
  await Promise.all([infos.write(resource, last), infos.removeFree(() => true)])
  assert.deepEqual(readdirSync(directory), [deviceInfoFileName(resource, last)])
  await infos.removeFree(() => true)
  assert.deepEqual(readdirSync(directory), [])
})

test('an allocation that is recorded while those of free devices are removed stays on record', async (t) => {
  const directory = directoryFor(t)
  const records = new AllocationRecords(directory, silent)
  await records.load()
  for (const deviceID of deviceIDs) await records.write(resource, deviceID, nodes)
  await Promise.all([records.removeFree(() => true), records.write(resource, last, nodes)])
  const next = new AllocationRecords(directory, silent)
  await next.load()
  assert.deepEqual(next.nodesOf(resource, last), nodes)
  await records.removeFree(() => true)
  assert.deepEqual(readdirSync(directory), [])
})
