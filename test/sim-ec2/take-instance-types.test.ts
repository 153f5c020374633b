// The script that takes the instance types out of DescribeInstanceTypes' answers: what the simulation answers, it must give back.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

import { paginateDescribeInstanceTypes, type InstanceTypeInfo } from '@aws-sdk/client-ec2'

import { ec2InProcess } from './ec2-in-process.ts'

const script = fileURLToPath(new URL('../../sim/ec2/state/take-instance-types.ts', import.meta.url))
const checkedIn = readFileSync(new URL('../../sim/ec2/state/instance-types.jsonl', import.meta.url), 'utf8')
type Types = Readonly<Record<string, InstanceTypeInfo>>

async function described(t: TestContext): Promise<Types> {
  const { client } = await ec2InProcess(t)
  const types: InstanceTypeInfo[] = []
  for await (const { InstanceTypes = [] } of paginateDescribeInstanceTypes({ client, pageSize: 100 }, {}))
    types.push(...InstanceTypes)
  // In another order than that of the file.
  return Object.fromEntries(types.toReversed().map((type) => [type.InstanceType, type]))
}

function taken(t: TestContext, types: Types) {
  const folder = mkdtempSync(join(tmpdir(), 'instance-types-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const [source, target] = [join(folder, 'instance_types.json.gz'), join(folder, 'instance-types.jsonl')]
  writeFileSync(source, gzipSync(JSON.stringify(types)))
  const { status, stderr } = spawnSync(process.execPath, [script, source, target], { encoding: 'utf8' })
  return { status, stderr, lines: () => readFileSync(target, 'utf8') }
}

test('what is checked in is what it makes of all instance types', async (t) => {
  const { status, stderr, lines } = taken(t, await described(t))
  assert.deepEqual([status, stderr], [0, ''])
  assert.equal(lines(), checkedIn)
})

test('a type that also runs i386 counts as one of x86_64', async (t) => {
  const { 't3.micro': type = assert.fail() } = await described(t)
  const both = { ...type, ProcessorInfo: { SupportedArchitectures: ['i386', 'x86_64'] } } as InstanceTypeInfo
  const { lines } = taken(t, { 't3.micro': both })
  assert.equal((JSON.parse(lines()) as { architecture: string }).architecture, 'x86_64')
})

test('a type whose cards differ in what is kept once for all of them is refused by its name', async (t) => {
  const { 'c6in.32xlarge': type = assert.fail() } = await described(t)
  const [first, ...others] = type.NetworkInfo?.NetworkCards ?? []
  const NetworkCards = [{ ...first, AdditionalFlexibleNetworkInterfaces: 1 }, ...others]
  const { status, stderr } = taken(t, { odd: { ...type, NetworkInfo: { ...type.NetworkInfo, NetworkCards } } })
  assert.equal(status, 1)
  assert.match(stderr, /the cards of odd differ in their flexible interfaces/)
})

test('without its two files it says how it is used', () => {
  const { status, stderr } = spawnSync(process.execPath, [script], { encoding: 'utf8' })
  assert.equal(status, 2)
  assert.match(stderr, /^usage: .*instance_types\.json\.gz.*instance-types\.jsonl/)
})
