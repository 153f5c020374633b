// Nodes of a fleet are as large as real ones, each is another, and our programs read of them what they read of real ones.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { defaultShape, fleetNodeAt, nodeManifest } from '../../sim/fleet/fleet-node.ts'
import { parseNode } from '../../src/kube/objects.ts'

const upf = 'intel.com/upf_dataplane'
const time = '2026-01-01T00:00:00.000Z'

test('a Node object is about 15 KB, with 50 images and 25 labels', () => {
  const node = nodeManifest(fleetNodeAt(4_999, defaultShape), defaultShape, time) as {
    metadata: { labels: object }
    status: { images: unknown[] }
  }
  const bytes = JSON.stringify(node).length
  assert.ok(bytes > 13_000 && bytes < 16_000, `${bytes} bytes`)
  assert.equal(node.status.images.length, 50)
  assert.equal(Object.keys(node.metadata.labels).length, 25)
})

test('no two nodes have the same name, address or instance', () => {
  const nodes = Array.from({ length: 70_000 }, (_, index) => fleetNodeAt(index, defaultShape))
  assert.equal(new Set(nodes.map(({ name }) => name)).size, nodes.length)
  assert.equal(new Set(nodes.map(({ instanceID }) => instanceID)).size, nodes.length)
})

test('our programs read its zone, instance, labels and registered resources', () => {
  const node = fleetNodeAt(1, defaultShape)
  const facts = parseNode(nodeManifest(node, defaultShape, time))
  assert.equal(facts.name, node.name)
  assert.equal(facts.zone, 'eu-west-1b')
  assert.equal(facts.instanceID, node.instanceID)
  assert.equal(facts.labels['ng'], 'multi-eni')
  assert.deepEqual(facts.addresses, ['10.0.0.1'])
  assert.deepEqual([...facts.registered], [upf])
})

test('a node whose plugin has registered nothing has no such key', () => {
  const facts = parseNode(nodeManifest(fleetNodeAt(0, defaultShape), { ...defaultShape, devices: {} }, time))
  assert.deepEqual([...facts.registered], [])
})

test('its slots are said where no attacher will say them', () => {
  const [node, shape] = [fleetNodeAt(0, defaultShape), { ...defaultShape, slots: 7 }]
  const { instanceID, capacity } = parseNode(nodeManifest(node, shape, time))
  assert.deepEqual(capacity, { instanceID, cards: [{ index: 0, limit: 8, foreign: 1 }] })
  assert.equal(parseNode(nodeManifest(node, defaultShape, time)).capacity, undefined)
})
