// What is passed to the programs of a control plane whose nodes are only objects, or that has features which are off by default.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { auditPolicy } from '../../sim/cluster/control-plane/audit-policy.ts'
import {
  apiServerArgs,
  controllerManagerArgs,
  featureGateArgs,
  hasDefaultScheduler,
} from '../../sim/cluster/control-plane/profile.ts'

test('an ordinary control plane gets nothing besides', () => {
  assert.deepEqual(apiServerArgs({}), [])
  assert.deepEqual(controllerManagerArgs({}), [])
  assert.deepEqual(featureGateArgs({}), [])
  assert.equal(hasDefaultScheduler({}), true)
})

test('nobody taints nodes that are only objects, and no scheduler but those of the caller runs', () => {
  const fleet = { nodes: 'objects' } as const
  assert.deepEqual(apiServerArgs(fleet), ['--disable-admission-plugins=TaintNodesByCondition'])
  assert.deepEqual(controllerManagerArgs(fleet), [
    '--controllers=*,-node-lifecycle-controller,-taint-eviction-controller,-ttl-controller',
  ])
  assert.equal(hasDefaultScheduler(fleet), false)
})

test('feature gates reach the API server, the controller manager and the schedulers, API groups the API server', () => {
  const featureGates = { GenericWorkload: true, OpportunisticBatching: false }
  const gates = '--feature-gates=GenericWorkload=true,OpportunisticBatching=false'
  assert.deepEqual(featureGateArgs({ featureGates }), [gates])
  assert.deepEqual(controllerManagerArgs({ featureGates }), [gates])
  assert.deepEqual(apiServerArgs({ featureGates, apis: ['scheduling.k8s.io/v1alpha2'] }), [
    '--runtime-config=scheduling.k8s.io/v1alpha2=true',
    gates,
  ])
})

test('the audit log tells of Bindings and ENIAttachments alone, unless every write is asked for', () => {
  const resourcesOf = (policy: object) =>
    (policy as { rules: { resources?: { resources: string[] }[] }[] }).rules.flatMap(({ resources = [] }) =>
      resources.flatMap((one) => one.resources),
    )
  assert.deepEqual(resourcesOf(auditPolicy({})), ['pods/binding', 'eniattachments', 'eniattachments/status'])
  const everything = auditPolicy({ audit: 'writes' }) as { rules: object[] }
  assert.deepEqual(everything.rules, [
    { level: 'Metadata', verbs: ['create', 'update', 'patch', 'delete'] },
    { level: 'None' },
  ])
})
