// What one watch event costs the extender: the JSON of an ENIAttachment parsed, checked against its schema, and entered into the ledger;
// the first filter of its node afterwards is counted with it, since what the ledger does not do at once it does then.
import { pino } from 'pino'

import { eniManifest, eniStatus, nodeENIManifest, nodeENIStatus } from '../../sim/fleet/fleet-eni.ts'
import { defaultShape, fleetNodeAt, nodeManifest } from '../../sim/fleet/fleet-node.ts'
import { filter } from '../../src/extender/filter.ts'
import { Ledger } from '../../src/extender/ledger.ts'
import { attachmentParser, nodeENIParser, parseNode } from '../../src/kube/objects.ts'
import { type Summary, summary } from '../quantiles.ts'

const nodeCount = 5_000
const eniCount = 10_000
const warmUpEvents = 2_000
const nodeENI = { name: 'upf', resource: 'intel.com/upf_dataplane' }
const time = '2026-01-01T00:00:00.000Z'
const demand = new Map([[nodeENI.resource, 1]])

export interface LedgerEvents {
  readonly json: Summary
  readonly schema: Summary
  readonly ledger: Summary
  readonly nextFilter: Summary
}

/** In microseconds. */
export function measureLedger(events: number): LedgerEvents {
  const log = pino({ level: 'silent' })
  const parse = attachmentParser(log)
  const ledger = new Ledger()
  fill(ledger, log)
  for (let index = 0; index < eniCount; index++) enter(index, eventLine(index, 0))
  const steps = { json: [] as number[], schema: [] as number[], ledger: [] as number[], nextFilter: [] as number[] }
  for (let event = 0; event < warmUpEvents + events; event++) {
    const index = (event * 7_919) % eniCount
    const line = eventLine(index, event + 1)
    const { name: nodeName } = fleetNodeAt(index % nodeCount, defaultShape)
    const startedAt = performance.now()
    const raw: unknown = JSON.parse(line)
    const jsonAt = performance.now()
    const attachment = parse(raw)
    const schemaAt = performance.now()
    ledger.setWatched(nameOf(index), attachment)
    const ledgerAt = performance.now()
    filter(ledger, 'uid-of-a-pod', demand, [nodeName])
    const filterAt = performance.now()
    if (event < warmUpEvents) continue
    steps.json.push((jsonAt - startedAt) * 1_000)
    steps.schema.push((schemaAt - jsonAt) * 1_000)
    steps.ledger.push((ledgerAt - schemaAt) * 1_000)
    steps.nextFilter.push((filterAt - ledgerAt) * 1_000)
  }
  return {
    json: summary(steps.json),
    schema: summary(steps.schema),
    ledger: summary(steps.ledger),
    nextFilter: summary(steps.nextFilter),
  }

  function enter(index: number, line: string): void {
    ledger.setWatched(nameOf(index), parse(JSON.parse(line)))
  }
}

function fill(ledger: Ledger, log: pino.Logger): void {
  const shape = { ...defaultShape, slots: 7 }
  for (let index = 0; index < nodeCount; index++) {
    const node = fleetNodeAt(index, defaultShape)
    ledger.setNode(node.name, parseNode(nodeManifest(node, shape, time)))
  }
  const manifest = nodeENIManifest(nodeENI, defaultShape) as { metadata: object }
  const metadata = { ...manifest.metadata, uid: 'uid-upf', resourceVersion: '1' }
  const status = nodeENIStatus(defaultShape, time)
  ledger.setNodeENI(nodeENI.name, nodeENIParser(log)({ ...manifest, metadata, status }))
}

/** Its claim comes and goes, event by event. */
function eventLine(index: number, event: number): string {
  const node = fleetNodeAt(index % nodeCount, defaultShape)
  const manifest = eniManifest(nameOf(index), nodeENI, node) as { metadata: object; spec: object }
  const claim = { namespace: 'bench', name: `pod-${event}`, uid: `uid-${event}` }
  return JSON.stringify({
    ...manifest,
    metadata: { ...manifest.metadata, uid: `uid-${index}`, resourceVersion: String(1_000 + event) },
    spec: { ...manifest.spec, ...(event % 2 === 0 && { claim }) },
    status: {
      phase: 'Ready',
      eni: eniStatus(index, 1, time),
      device: { pciAddress: '0000:00:06.0', driver: 'vfio-pci', health: 'Healthy', advertised: true, seenTime: time },
    },
  })
}

function nameOf(index: number): string {
  return `upf-${index}`
}

export function ledgerKeys({ json, schema, ledger, nextFilter }: LedgerEvents): Readonly<Record<string, number>> {
  return {
    ledger_event_p50_us: ledger.p50,
    ledger_event_p99_us: ledger.p99,
    ledger_event_all_p50_us: json.p50 + schema.p50 + ledger.p50 + nextFilter.p50,
  }
}

export function ledgerRows({ json, schema, ledger, nextFilter }: LedgerEvents): Readonly<Record<string, Summary>> {
  return { 'JSON parsed': json, 'schema checked': schema, ledger, 'the next filter of its node': nextFilter }
}
