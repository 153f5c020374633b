// The attacher's settings: what is taken when nothing is said, and what is refused, with its name.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { ec2Actions } from '../../src/attacher/ec2-action.ts'
import { attacherSettings } from '../../src/attacher/settings.ts'

const needed = { JIT_ENI_RESOURCES: 'intel.com/upf_dataplane', JIT_ENI_CLUSTER: 'blue' }

test('without more, a fifth of EC2 is left to others and nothing is kept on the nodes', () => {
  const { ec2, slots, collection } = attacherSettings(needed)
  assert.deepEqual(ec2, { concurrency: 100, share: 0.8, quotas: new Map() })
  assert.deepEqual(slots, { cniSlots: 0, volumes: 0, jitCards: 'above-zero-first' })
  assert.equal(collection, 'delete')
})

test('quotas are told by action', () => {
  const JIT_ENI_EC2_QUOTAS = 'AttachNetworkInterface=200/20, CreateNetworkInterface=400/20'
  assert.deepEqual(
    attacherSettings({ ...needed, JIT_ENI_EC2_QUOTAS }).ec2.quotas,
    new Map([
      ['AttachNetworkInterface', { tokens: 200, perSecond: 20 }],
      ['CreateNetworkInterface', { tokens: 400, perSecond: 20 }],
    ]),
  )
})

test('a quota of an action that the attacher does not call is refused, and those that it calls are named', () => {
  const JIT_ENI_EC2_QUOTAS = 'AttachNetworkInterface=200/20,AttachNetworkInterfaces=200/20'
  assert.throws(
    () => attacherSettings({ ...needed, JIT_ENI_EC2_QUOTAS }),
    /^SettingsError: environment: JIT_ENI_EC2_QUOTAS: must name actions that the attacher calls: .*DetachNetworkInterface/,
  )
})

test('the policy in deploy/iam allows what the attacher calls, and nothing else', () => {
  const text = readFileSync(new URL('../../deploy/iam/policy.json', import.meta.url), 'utf8')
  const { Statement } = JSON.parse(text) as { Statement: { Action: string | string[] }[] }
  const allowed = new Set(Statement.flatMap(({ Action }) => Action))
  assert.deepEqual([...allowed].toSorted(), ec2Actions.map((action) => `ec2:${action}`).toSorted())
})

const wrong: readonly [string, string][] = [
  ['JIT_ENI_EC2_QUOTAS', 'AttachNetworkInterface=200'],
  ['JIT_ENI_EC2_QUOTAS', 'AttachNetworkInterface=0/5'],
  ['JIT_ENI_EC2_SHARE', '0'],
  ['JIT_ENI_EC2_SHARE', '1.5'],
  ['JIT_ENI_CNI_SLOTS', '-1'],
  ['JIT_ENI_VOLUMES', 'many'],
  ['JIT_ENI_JIT_CARDS', 'last'],
  ['JIT_ENI_COLLECTION', 'off'],
]
for (const [name, value] of wrong) {
  test(`${name}=${value} is refused by its name`, () => {
    assert.throws(
      () => attacherSettings({ ...needed, [name]: value }),
      new RegExp(`^SettingsError: environment: ${name}`),
    )
  })
}
