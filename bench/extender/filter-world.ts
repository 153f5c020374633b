// What filter is asked about: nodes of which all, 1 % or none have a free ENI of a resource, and nodes that can still get one; behind the
// API double, since only the extender is measured. Nodes are small: the extender keeps the same of large ones.
import { capacityAnnotation, zoneLabel } from '../../src/api/names.ts'
import { eniManifest, eniStatus, nodeENIManifest, nodeENIStatus } from '../../sim/fleet/fleet-eni.ts'
import { defaultShape, type FleetNode, fleetNodeAt } from '../../sim/fleet/fleet-node.ts'
import type { ApiDouble } from '../../test/kube-api/api-double.ts'

export const presences = ['all', '1 %', 'none', 'attachable'] as const
export type Presence = (typeof presences)[number]
export const verbs = ['filter', 'prioritize'] as const
export type Verb = (typeof verbs)[number]

const resourceOf: Readonly<Record<Presence, string>> = {
  all: 'bench.example/all',
  '1 %': 'bench.example/some',
  none: 'bench.example/none',
  attachable: 'bench.example/none',
}
export const filterResources = [...new Set(Object.values(resourceOf))]

/** `1 %`: every node of which this is a divisor of the number. */
const nodesPerDevice = 100
const slotsToAttach = 7
const time = '2026-01-01T00:00:00.000Z'

export class FilterWorld {
  readonly #full: readonly FleetNode[]
  readonly #open: readonly FleetNode[]

  /** Adds `nodes` that have no slot left, and as many that have. */
  constructor(api: ApiDouble, nodes: number) {
    this.#full = Array.from({ length: nodes }, (_, index) => fleetNodeAt(index, defaultShape))
    this.#open = Array.from({ length: nodes }, (_, index) => fleetNodeAt(nodes + index, defaultShape))
    const nodeENIs = filterResources.map((resource) => ({ name: resource.split('/')[1] ?? '', resource }))
    for (const one of nodeENIs) {
      const status = nodeENIStatus(defaultShape, time)
      api.store('nodeenis').create({ ...nodeENIManifest(one, defaultShape), status } as never)
    }
    const [all, some] = nodeENIs
    if (all === undefined || some === undefined) throw new Error('there are no NodeENIs')
    for (const [index, node] of this.#full.entries()) {
      const has = index % nodesPerDevice === 0 ? [all, some] : [all]
      addNode(api, node, has.length)
      for (const [ordinal, one] of has.entries()) {
        const eni = eniStatus(index, ordinal + 1, time)
        const status = { eni, device: { advertised: true, health: 'Healthy' } }
        api.store('eniattachments').create({ ...eniManifest(`${one.name}-${index}`, one, node), status } as never)
      }
    }
    for (const node of this.#open) addNode(api, node, slotsToAttach)
  }

  /** Body of the call about so many nodes; prioritize is asked about those alone that filter has passed. */
  request(verb: Verb, presence: Presence, names: number): string {
    const nodes = (presence === 'attachable' ? this.#open : this.#full).slice(0, names)
    const isPassed = (index: number) => presence !== '1 %' || index % nodesPerDevice === 0
    const asked = verb === 'filter' ? nodes : nodes.filter((_, index) => isPassed(index))
    const NodeNames = asked.map(({ name }) => name)
    return JSON.stringify({ Pod: podAsking(resourceOf[presence]), Nodes: null, NodeNames })
  }
}

function addNode(api: ApiDouble, { name, instanceID, zone }: FleetNode, slots: number): void {
  // The primary interface has a slot too.
  const capacity = { instanceID, cards: [{ index: 0, limit: slots + 1, foreign: 1 }] }
  api.store('nodes').create({
    metadata: {
      name,
      labels: { ...defaultShape.labels, [zoneLabel]: zone },
      annotations: { [capacityAnnotation]: JSON.stringify(capacity) },
    },
    spec: { providerID: `aws:///${zone}/${instanceID}` },
    status: { capacity: Object.fromEntries(filterResources.map((resource) => [resource, '0'])) },
  } as never)
}

function podAsking(resource: string): object {
  const env = Array.from({ length: 20 }, (_, n) => ({ name: `SETTING_${n}`, value: `a value of some length ${n}` }))
  const limits = { cpu: '4', memory: '8Gi', [resource]: '1' }
  return {
    metadata: {
      name: `asks-for-${resource.split('/')[1]}`,
      namespace: 'bench',
      uid: `uid-${resource}`,
      labels: { app: 'upf' },
    },
    spec: {
      schedulerName: 'jit-eni',
      containers: [{ name: 'upf', image: 'registry.example/upf:1', env, resources: { limits, requests: limits } }],
    },
  }
}
