// The CDI spec files: what a container runtime makes of them, at every moment.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import fc from 'fast-check'
import { pino } from 'pino'

import { readCdiRegistry } from '../../sim/kubelet/cdi-registry.ts'
import { parseSpec, specFileName, specText } from '../../src/device-plugin/cdi-spec.ts'
import { CdiSpecs } from '../../src/device-plugin/cdi-specs.ts'

const resource = 'intel.com/upf_dataplane'
const deviceID = '0000:00:06.0'
const name = `${resource}=${deviceID}`
const silent = pino({ level: 'silent' })

function nodesOf(group: string) {
  return [
    { containerPath: '/dev/vfio/vfio', hostPath: '/dev/vfio/vfio' },
    { containerPath: `/dev/vfio/${group}`, hostPath: `/dev/vfio/${group}` },
  ]
}

function directoryFor(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cdi-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

async function loaded(directory: string): Promise<CdiSpecs> {
  const specs = new CdiSpecs(directory, silent)
  await specs.load()
  return specs
}

function hostNodes(directory: string): readonly string[] | undefined {
  const { devices, errors } = readCdiRegistry(directory)
  assert.deepEqual(errors, [])
  return devices.get(name)?.map(({ hostPath }) => hostPath)
}

test('while other devices come and go in the same file, a device is described at every moment', async (t) => {
  const specs = await loaded(directoryFor(t))
  const stays = { resource, deviceID, nodes: nodesOf('3') }
  const passes = { resource, deviceID: '0000:00:07.0', nodes: nodesOf('4') }
  await specs.put(stays)
  const looks: boolean[] = []
  const looking = new AbortController()
  const look = () => {
    looks.push(specs.has(stays))
    if (!looking.signal.aborted) setImmediate(look)
  }
  look()
  for (let round = 0; round < 30; round++) {
    await specs.put(passes)
    await specs.retain((device) => device.deviceID === deviceID)
  }
  looking.abort()
  assert.equal(looks.filter((isDescribed) => !isDescribed).length, 0)
})

test('a file has version 0.5.0, and 0.6.0 only when the class has a dot', () => {
  assert.deepEqual(JSON.parse(specText(resource, new Map([[deviceID, nodesOf('3')]]))), {
    cdiVersion: '0.5.0',
    kind: resource,
    devices: [
      {
        name: deviceID,
        containerEdits: {
          deviceNodes: [
            { path: '/dev/vfio/vfio', hostPath: '/dev/vfio/vfio', type: 'c', permissions: 'rw' },
            { path: '/dev/vfio/3', hostPath: '/dev/vfio/3', type: 'c', permissions: 'rw' },
          ],
        },
      },
    ],
  })
  assert.match(specText('intel.com/upf.n3', new Map()), /"cdiVersion":"0.6.0"/)
})

test('every resource that can be a kind makes a file that the runtime takes and that reads back as it was', (t) => {
  const directory = directoryFor(t)
  const label = fc.stringMatching(/^[a-z]([-a-z0-9]{0,8}[a-z0-9])?$/)
  const className = fc.stringMatching(/^[A-Za-z]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?$/)
  const resources = fc.tuple(label, label, className).map(([host, top, last]) => `${host}.${top}/${last}`)
  const group = fc.nat(4_095).map(String)
  fc.assert(
    fc.property(
      resources,
      fc.dictionary(fc.constantFrom(deviceID, '0000:00:07.0'), group, { minKeys: 1 }),
      (kind, groups) => {
        const devices = new Map(Object.entries(groups).map(([id, number]) => [id, nodesOf(number)]))
        const path = join(directory, specFileName(kind))
        writeFileSync(path, specText(kind, devices))
        const registry = readCdiRegistry(directory)
        assert.deepEqual(registry.errors, [])
        assert.deepEqual(
          [...registry.devices.keys()],
          [...devices.keys()].map((id) => `${kind}=${id}`),
        )
        assert.deepEqual(parseSpec(readFileSync(path, 'utf8')), { resource: kind, devices })
        rmSync(path)
      },
    ),
  )
})

test('a device is there once it is put, with its new nodes once it is put again, and gone when nobody keeps it', async (t) => {
  const directory = directoryFor(t)
  const specs = await loaded(directory)
  const before = { resource, deviceID, nodes: nodesOf('3') }
  assert.equal(specs.has(before), false)
  await specs.put(before)
  assert.equal(specs.has(before), true)
  assert.deepEqual(hostNodes(directory), ['/dev/vfio/vfio', '/dev/vfio/3'])

  const after = { ...before, nodes: nodesOf('5') }
  assert.equal(specs.has(after), false)
  await specs.put(after)
  assert.deepEqual(hostNodes(directory), ['/dev/vfio/vfio', '/dev/vfio/5'])

  await specs.put({ ...after, deviceID: '0000:00:07.0', nodes: nodesOf('6') })
  await specs.retain((device) => device.deviceID === '0000:00:07.0')
  assert.equal(hostNodes(directory), undefined)
  assert.equal(readCdiRegistry(directory).devices.size, 1)
  await specs.retain(() => false)
  assert.deepEqual(readdirSync(directory), [])
})

test('no half of a file is ever under a name that the runtime reads, and all may read it', async (t) => {
  const directory = directoryFor(t)
  const specs = await loaded(directory)
  for (let group = 0; group < 50; group++) {
    const device = { resource, deviceID, nodes: nodesOf(String(group)) }
    const written = specs.put(device)
    while (!specs.has(device)) {
      assert.deepEqual(readCdiRegistry(directory).errors, [])
      await new Promise(setImmediate)
    }
    await written
  }
  assert.equal(statSync(join(directory, specFileName(resource))).mode & 0o777, 0o644)
})

test("a device without nodes is in no file: empty edits would make the runtime refuse the file's other devices", async (t) => {
  const directory = directoryFor(t)
  const specs = await loaded(directory)
  await specs.put({ resource, deviceID: '0000:00:07.0', nodes: nodesOf('6') })
  const bare = { resource, deviceID, nodes: [] }
  assert.equal(specs.has(bare), true)
  await specs.put({ ...bare, nodes: nodesOf('3') })
  assert.equal(specs.has(bare), false, 'the nodes of an earlier driver are not true any more')
  await specs.put(bare)
  assert.deepEqual([...readCdiRegistry(directory).devices.keys()], [`${resource}=0000:00:07.0`])
})

test('the next process knows what an earlier one wrote, ends what it left half way, and touches no file of others', async (t) => {
  const directory = directoryFor(t)
  await (await loaded(directory)).put({ resource, deviceID, nodes: nodesOf('3') })
  const foreign = ['nvidia.json', 'jit-eni-of-an-admin.json', 'sriov-dp-intel.com.yaml']
  for (const file of foreign) writeFileSync(join(directory, file), '{"kind":"other.com/net","devices":[]}')
  writeFileSync(join(directory, `${specFileName(resource)}.new`), '{"cdiV')

  const next = await loaded(directory)
  assert.equal(next.has({ resource, deviceID, nodes: nodesOf('3') }), true)
  assert.deepEqual(readdirSync(directory).toSorted(), [...foreign, specFileName(resource)].toSorted())
  await next.retain(() => false)
  assert.deepEqual(readdirSync(directory).toSorted(), foreign.toSorted())
})

test('a file that somebody removed or replaced is not taken for ours', async (t) => {
  const directory = directoryFor(t)
  const specs = await loaded(directory)
  const device = { resource, deviceID, nodes: nodesOf('3') }
  await specs.put(device)
  rmSync(join(directory, specFileName(resource)))
  assert.equal(specs.has(device), false)
  await specs.put(device)
  writeFileSync(join(directory, specFileName(resource)), '{}')
  assert.equal(specs.has(device), false)
  await specs.put(device)
  assert.deepEqual(hostNodes(directory), ['/dev/vfio/vfio', '/dev/vfio/3'])
})

test('what cannot be written rejects, and what was true before stays', async (t) => {
  const directory = directoryFor(t)
  const specs = await loaded(directory)
  const device = { resource, deviceID, nodes: nodesOf('3') }
  await specs.put(device)
  const unfinished = join(directory, `${specFileName(resource)}.new`)
  // A directory in the way stands for a full disk: root may write anywhere.
  mkdirSync(unfinished)
  await assert.rejects(specs.put({ ...device, nodes: nodesOf('5') }), /EISDIR/)
  assert.equal(specs.has(device), true)
  assert.equal(specs.has({ ...device, nodes: nodesOf('5') }), false)
  assert.deepEqual(hostNodes(directory), ['/dev/vfio/vfio', '/dev/vfio/3'])
})
