// What a NodeENI's nodes mean for it is worked out once for all of its ENIs, and anew after whatever it depends on has changed.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { NodeENI } from '../../src/api/node-eni.ts'
import type { Ec2, Instance } from '../../src/attacher/ec2.ts'
import { Inventory } from '../../src/attacher/inventory.ts'
import { NodeENIController, type NodeENIControllerParts } from '../../src/attacher/node-eni-controller.ts'
import { SelectedNodes } from '../../src/attacher/selected-nodes.ts'
import type { ChangeListener } from '../../src/kube/informer.ts'
import type { NodeFacts } from '../../src/kube/objects.ts'

import { resource } from './attacher-world.ts'
import { allForUs, nodeENIOf, nodeOf } from './objects.ts'
import { TestClock } from './test-clock.ts'

/** An informer without an API server, that counts what it is asked for. */
class Objects<T> {
  visits = 0
  readonly #objects = new Map<string, T>()
  readonly #listeners: ChangeListener<T>[] = []

  onChange(listener: ChangeListener<T>): void {
    this.#listeners.push(listener)
  }

  *values(): MapIterator<T> {
    for (const one of this.#objects.values()) {
      this.visits++
      yield one
    }
  }

  put(name: string, after: T | undefined): void {
    const before = this.#objects.get(name)
    if (after === undefined) this.#objects.delete(name)
    else this.#objects.set(name, after)
    for (const listener of this.#listeners) listener(name, after, before)
  }
}

class Site {
  readonly nodes = new Objects<NodeFacts>()
  readonly nodeENIs = new Objects<NodeENI>()
  /** What EC2 says of an instance, beside what all have in common. */
  readonly differing = new Map<string, Partial<Instance>>()
  beforeTypes = async () => {}
  readonly inventory = new Inventory({ ec2: () => this.#ec2 as Ec2, policy: allForUs, clock: new TestClock() })
  readonly #ec2: Partial<Ec2> = {
    describeInstances: async (ids) =>
      ids.map((id) => ({
        id,
        type: 'm5.xlarge',
        state: 'running',
        vpcID: 'vpc-1',
        zone: 'eu-north-1a',
        interfaces: [],
        volumes: 1,
        ...this.differing.get(id),
      })),
    describeInstanceTypes: async (names) => {
      await this.beforeTypes()
      return names.map((name) => ({ name, cards: [{ index: 0, maxInterfaces: 4 }], sharedAttachments: undefined }))
    },
  }
  readonly #controller: NodeENIController

  constructor(nodeCount: number) {
    const { nodes, nodeENIs, inventory } = this
    const subnets = [{ id: 'subnet-a1', zone: 'eu-north-1a', vpcID: 'vpc-1', cidr: '10.0.0.0/16', freeAddresses: 9 }]
    const parts = {
      nodes,
      nodeENIs,
      selectedNodes: new SelectedNodes({ nodes, nodeENIs, inventory }),
      networks: { find: async () => ({ subnets, securityGroupIDs: ['sg-upf'] }) },
      managed: new Set([resource]),
      clock: new TestClock(),
    }
    this.#controller = new NodeENIController(parts as unknown as NodeENIControllerParts)
    for (let i = 0; i < nodeCount; i++) nodes.put(`n${i}`, nodeOf(`n${i}`))
  }

  /** All nodes, as a sweep does. */
  async sweep(): Promise<void> {
    await this.inventory.refresh([...this.nodes.values()].flatMap(({ instanceID }) => instanceID ?? []))
    this.nodes.visits = 0
  }

  /** What is wrong; undefined for nothing. */
  async problem(nodeENI: NodeENI): Promise<string | undefined> {
    const network = await this.#controller.networkOf(nodeENI)
    return network === undefined ? 'NotKnown' : 'reason' in network ? network.reason : undefined
  }
}

test('two thousand ENIs that ask at once look at two thousand nodes once', async () => {
  const site = new Site(2_000)
  const nodeENI = nodeENIOf('upf', { dpdkResourceName: resource })
  site.nodeENIs.put('upf', nodeENI)
  await site.sweep()
  const survey = () => Promise.all(Array.from({ length: 2_000 }, async () => site.problem(nodeENI)))
  assert.deepEqual(new Set(await survey()), new Set([undefined]))
  assert.ok(site.nodes.visits <= 2_000, `${site.nodes.visits} looks at nodes`)
  // What changes all the time has no part in it.
  site.nodes.put('n0', { ...nodeOf('n0'), registered: new Set([resource]) })
  site.nodeENIs.put('upf', { ...nodeENI, status: { attached: 1 } })
  await site.inventory.look(['i-n0'], 'pods')
  await survey()
  assert.ok(site.nodes.visits <= 2_000, `${site.nodes.visits} looks at nodes`)
})

test('a node that comes, is labelled, moves or goes counts at once', async () => {
  const site = new Site(1)
  const nodeENI = nodeENIOf('upf', { nodeSelector: { role: 'upf' } })
  await site.sweep()
  assert.equal(await site.problem(nodeENI), undefined, 'the VPC of all others')
  const labels = { role: 'upf' }
  site.nodes.put('n0', { ...nodeOf('n0', 'eu-north-1b'), labels })
  assert.equal(await site.problem(nodeENI), 'NoSubnetInZone')
  site.nodes.put('n1', { ...nodeOf('n1'), labels })
  assert.equal(await site.problem(nodeENI), undefined)
  site.nodes.put('n1', { ...nodeOf('n1', 'eu-north-1c'), labels })
  assert.equal(await site.problem(nodeENI), 'NoSubnetInZone')
  for (const name of ['n0', 'n1']) site.nodes.put(name, undefined)
  assert.equal(await site.problem(nodeENI), undefined)
  await site.sweep()
  assert.equal(await site.problem(nodeENI), 'NoInstances')
})

test('so does what EC2 says of the instances', async () => {
  const site = new Site(2)
  const nodeENI = nodeENIOf('upf', { deviceIndex: 4 })
  assert.equal(await site.problem(nodeENI), 'NotKnown')
  // The types are described a moment after the instances.
  site.beforeTypes = async () => assert.equal(await site.problem(nodeENI), undefined)
  await site.sweep()
  assert.equal(await site.problem(nodeENI), 'InvalidDeviceIndex')
  site.differing.set('i-n1', { vpcID: 'vpc-2' })
  await site.sweep()
  assert.equal(await site.problem(nodeENI), 'SeveralVPCs')
  // Of one that is terminated EC2 tells no VPC.
  site.differing.set('i-n1', { vpcID: '' })
  await site.sweep()
  assert.equal(await site.problem(nodeENI), 'InvalidDeviceIndex')
})

test('so does another NodeENI, and an edit of this one', async () => {
  const site = new Site(1)
  await site.sweep()
  const young = nodeENIOf('young', { dpdkResourceName: resource, mtu: 9_000 }, 1)
  site.nodeENIs.put('young', young)
  assert.equal(await site.problem(young), undefined)
  site.nodeENIs.put('old', nodeENIOf('old', { dpdkResourceName: resource }))
  assert.equal(await site.problem(young), 'ResourceConflict')
  const edited = nodeENIOf('young', { dpdkResourceName: resource }, 1, 2)
  site.nodeENIs.put('young', edited)
  assert.equal(await site.problem(edited), undefined)
  site.nodeENIs.put('young', young)
  assert.equal(await site.problem(young), 'ResourceConflict')
  site.nodeENIs.put('old', undefined)
  assert.equal(await site.problem(young), undefined)
})
