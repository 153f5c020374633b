// The objects of a fleet are what our programs take them for: an extender that watches them passes the nodes that it should.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'

import { Fleet } from '../../sim/fleet/fleet.ts'
import { defaultShape } from '../../sim/fleet/fleet-node.ts'
import { filter } from '../../src/extender/filter.ts'
import { LedgerFeed } from '../../src/extender/ledger-feed.ts'
import { Ledger } from '../../src/extender/ledger.ts'
import { realClock } from '../../src/process/clock.ts'
import { ApiDouble } from '../kube-api/api-double.ts'
import { InProcessCluster } from '../kube-api/in-process-cluster.ts'
import { FleetUnderTest, nodeENI, upf } from './fleet-under-test.ts'

const log = pino({ level: 'silent' })
const demand = new Map([[upf, 1]])
const somebody = { namespace: 'cnf', name: 'p', uid: 'uid-p' }

test('an extender passes the nodes that have a free ENI or a slot, and neither full nor bare ones', async (t) => {
  const cluster = new InProcessCluster(new ApiDouble())
  const shape = { ...defaultShape, slots: 1 }
  const fleet = new Fleet(cluster, shape, realClock)
  await fleet.addNodeENI(nodeENI)
  const [free, claimed, open, bare] = [...(await fleet.addNodes(3)), ...(await fleet.addNodes(1, { devices: {} }))]
  assert.ok(free && claimed && open && bare)
  const [, taken = ''] = await fleet.addENIs(nodeENI, [free, claimed])
  await cluster.request('PATCH', `/apis/networking.k8s.aws/v1alpha1/eniattachments/${taken}`, {
    as: 'merge',
    body: { spec: { claim: somebody } },
  })
  const ledger = new Ledger()
  const stop = new AbortController()
  const feed = new LedgerFeed({ cluster, ledger, managed: new Set([upf]), log, clock: realClock })
  const running = feed.run(stop.signal)
  t.after(async () => {
    stop.abort()
    await running
  })
  await feed.synced()
  const names = [free, claimed, open, bare].map(({ name }) => name)
  const { NodeNames } = filter(ledger, 'uid-q', demand, names)
  assert.deepEqual(NodeNames, [free.name, open.name])
})

test('freed claims are acknowledged no more', async (t) => {
  const world = await FleetUnderTest.start(t)
  const { eni } = await world.nodeWithDevice()
  world.claim(eni, somebody)
  await world.deviceIs(eni, (device) => device?.acknowledged === 'uid-p')
  await world.fleet.freeClaims([eni])
  await world.deviceIs(eni, (device) => device?.acknowledged === undefined)
  assert.equal(world.eni(eni)?.spec.claim, undefined)
})
