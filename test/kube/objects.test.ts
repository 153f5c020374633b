// What our programs keep of Nodes, Pods and our own kinds.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'

import { notOfInterest } from '../../src/kube/informer.ts'
import {
  attachmentParser,
  demandingPodParser,
  parseNode,
  parsePod,
  parseUnreadableAttachment,
} from '../../src/kube/objects.ts'

test('of a node are kept its zone, its instance, its capacity and the resources that plugins registered', () => {
  const capacity = { instanceID: 'i-1', cards: [{ index: 0, limit: 4, foreign: 1 }] }
  const node = parseNode({
    metadata: {
      name: 'node-1',
      uid: 'u',
      labels: { 'topology.kubernetes.io/zone': 'eu-north-1a' },
      annotations: { 'networking.k8s.aws/eni-capacity': JSON.stringify(capacity) },
    },
    spec: { providerID: 'aws:///eu-north-1a/i-1' },
    status: { capacity: { cpu: '4', 'intel.com/upf_dataplane': '0' }, nodeInfo: { bootID: 'boot-1' } },
  })
  assert.equal(node.zone, 'eu-north-1a')
  assert.equal(node.instanceID, 'i-1')
  assert.equal(node.bootID, 'boot-1')
  assert.deepEqual(node.capacity, capacity)
  assert.deepEqual([...node.registered], ['intel.com/upf_dataplane'])
})

test('a node that is not an EC2 instance has no instance id', () => {
  for (const providerID of [undefined, '', 'kind://docker/kind/node', 'aws:///eu-north-1a/fargate-ip-10-0-0-1']) {
    assert.equal(parseNode({ metadata: { name: 'n' }, spec: { providerID } }).instanceID, undefined, providerID)
  }
})

test('a node is closed to new pods when it is cordoned, with or without its taint, or when an autoscaler removes it', () => {
  const closedBy = (spec: object) => parseNode({ metadata: {}, spec }).closedBy
  assert.deepEqual(closedBy({}), [])
  assert.deepEqual(closedBy({ unschedulable: true }), ['node.kubernetes.io/unschedulable'])
  const taints = ['dedicated', 'ToBeDeletedByClusterAutoscaler', 'karpenter.sh/disrupted'].map((key) => ({ key }))
  assert.deepEqual(closedBy({ taints }), ['ToBeDeletedByClusterAutoscaler', 'karpenter.sh/disrupted'])
  assert.equal(parseNode({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }).terminating, true)
})

test('of the addresses of a node only those are kept by which its kubelet is reached, and a bounded number of them', () => {
  const addresses = [
    { type: 'Hostname', address: 'node-1' },
    { type: 'InternalIP', address: '10.0.0.5' },
    { type: 'ExternalIP', address: '192.0.2.1' },
    { type: 'InternalIP', address: 'fd00::5' },
  ]
  assert.deepEqual(parseNode({ metadata: {}, status: { addresses } }).addresses, ['10.0.0.5', 'fd00::5'])
  const many = Array.from({ length: 100 }, () => ({ type: 'InternalIP', address: '10.0.0.5' }))
  assert.equal(parseNode({ metadata: {}, status: { addresses: many } }).addresses.length, 8)
  assert.deepEqual(parseNode({ metadata: {} }).addresses, [])
})

test('a pod that has succeeded or failed has ended', () => {
  const phase = (name?: string) => parsePod({ metadata: {}, status: { phase: name } }).ended
  assert.deepEqual(['Pending', 'Running', undefined, 'Succeeded', 'Failed'].map(phase), [
    false,
    false,
    false,
    true,
    true,
  ])
})

test('an object that is not what its CRD says is left out, with a line that names it', () => {
  const lines: string[] = []
  const parse = attachmentParser(pino({}, { write: (line: string) => void lines.push(line) }))
  assert.equal(parse({ metadata: { name: 'odd' }, spec: {} }), undefined)
  assert.equal(lines.length, 1)
  assert.match(lines[0] ?? '', /"object":"odd"/)
})

test('of pods only those are kept that ask for managed devices', () => {
  const parse = demandingPodParser(new Set(['intel.com/upf_dataplane']))
  const asking = (limits: Record<string, string>) => ({
    metadata: { name: 'upf-0', namespace: 'cnf', uid: 'u' },
    spec: { nodeName: 'node-1', containers: [{ name: 'c', resources: { limits } }] },
  })
  assert.equal(parse(asking({ cpu: '1' })), notOfInterest)
  assert.equal(parse(asking({ 'intel.com/other': '1' })), notOfInterest)
  assert.equal(parse(asking({ 'intel.com/upf_dataplane': '0' })), notOfInterest)
  assert.deepEqual(parse(asking({ 'intel.com/upf_dataplane': '2' })), {
    namespace: 'cnf',
    name: 'upf-0',
    uid: 'u',
    nodeName: 'node-1',
    demand: new Map([['intel.com/upf_dataplane', 2]]),
  })
})

test('of an attachment that cannot be read is told where it is, as far as that can be read', () => {
  const metadata = { name: 'odd', uid: 'u', resourceVersion: '7', labels: {} }
  const spec = { nodeName: 'a', instanceID: 7, nodeENI: 'upf', claim: 'new' }
  assert.partialDeepStrictEqual(parseUnreadableAttachment({ metadata, spec }), {
    metadata: { name: 'odd', uid: 'u', resourceVersion: '7' },
    place: { nodeName: 'a', nodeENI: 'upf' },
  })
  assert.equal(parseUnreadableAttachment({ metadata, spec }).place.instanceID, undefined)
  assert.deepEqual(parseUnreadableAttachment({ metadata, spec: 'new' }).place, {})
})
