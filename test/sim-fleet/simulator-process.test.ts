// The node simulator as a process of its own: it sees what is there before it says so, and does as it is told.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { Fleet } from '../../sim/fleet/fleet.ts'
import { defaultShape } from '../../sim/fleet/fleet-node.ts'
import { SimulatorProcess } from '../../sim/fleet/simulator-process.ts'
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import { Cluster } from '../../src/kube/cluster.ts'
import { realClock } from '../../src/process/clock.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'
import { nodeENI, upf } from './fleet-under-test.ts'

test('acknowledges claims, except on nodes that it is told to silence', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'jit-eni-fleet-'))
  t.after(() => rm(directory, { recursive: true }))
  const api = await FakeApiServer.start()
  t.after(() => api.stop())
  const fleet = new Fleet(new Cluster(api.kubeconfig), defaultShape, realClock)
  const nodes = await fleet.addNodes(2)
  const [silent = '', alive = ''] = await fleet.addENIs(nodeENI, nodes)
  const simulator = await SimulatorProcess.start(
    { kubeconfig: api.kubeconfig, managed: [upf], kubelets: 'present', offerDelayMs: 0 },
    join(directory, 'fleet.log'),
  )
  t.after(() => simulator.stop())
  const deviceOf = (object: unknown) => (object as ENIAttachment | undefined)?.status?.device
  for (const eni of [silent, alive]) {
    await api.until('eniattachments', eni, (object) => deviceOf(object)?.advertised === true)
  }
  await simulator.silence([nodes[0]?.name ?? ''])
  for (const eni of [silent, alive]) {
    api.store('eniattachments').update(eni, (object) => {
      const claim = { namespace: 'cnf', name: 'p', uid: 'uid-p' }
      return { ...object, spec: { ...(object['spec'] as object), claim } }
    })
  }
  await api.until('eniattachments', alive, (object) => deviceOf(object)?.acknowledged === 'uid-p')
  assert.equal(deviceOf(api.store('eniattachments').get(silent))?.acknowledged, undefined)
  await simulator.revive([nodes[0]?.name ?? ''])
  await api.until('eniattachments', silent, (object) => deviceOf(object)?.acknowledged === 'uid-p')
  assert.equal((await simulator.counts()).withoutDevice, 0)
})
