// Ten ENIs on an instance that serves nobody, for an hour: what does not change is not asked for again and again.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { attacherWorld, resource } from './attacher-world.ts'
import { hourMs, minuteMs } from './lab/account-in-use.ts'
import { Lab } from './lab/lab.ts'

/** Fifteen interfaces. */
const instance = { instanceId: 'i-large', instanceType: 'm5.24xlarge', subnetId: 'subnet-a1' }
const world = { ...attacherWorld, instances: [instance, ...attacherWorld.instances] }
const names = Array.from({ length: 10 }, (_, i) => `upf-${i}`)

/** Ten ENIs that pods hold. */
async function held(): Promise<Lab> {
  const lab = new Lab({ ec2: { world, delays: { answerMs: 50, attachMs: 1_000, deviceMs: 1_200 } } })
  for (const name of ['large', 'a1']) lab.scene.addNode(name)
  const spec = { nodeSelector: { serves: 'upf' }, releaseAfter: '24h' }
  lab.scene.addNodeENI('upf', { dpdkResourceName: resource, ...spec })
  label(lab, { serves: 'upf' })
  lab.startAttacher()
  for (const name of names)
    lab.scene.addIntent(name, lab.scene.addUnboundPod(name), { nodeName: 'large', instanceID: 'i-large' })
  await lab.clock.until(
    () => lab.scene.attachments().filter(({ status }) => status?.device?.inUseBy).length === 10,
    minuteMs,
  )
  return lab
}

/** And ten that nobody holds any more, and that are kept. */
async function idle(): Promise<Lab> {
  const lab = await held()
  for (const name of names) lab.scene.endPod({ namespace: 'cnf', name, uid: '' })
  await lab.clock.until(
    () => lab.scene.attachments().every(({ spec, status }) => !spec.claim && !status?.device?.inUseBy),
    minuteMs,
  )
  return lab
}

function label(lab: Lab, labels: Readonly<Record<string, string>>): void {
  lab.api.store('nodes').update('large', (node) => ({ ...node, metadata: { ...node.metadata, labels } }))
}

const ofEither: Readonly<Record<string, (lab: Lab) => void>> = {
  'whose node no NodeENI selects any more': (lab) => label(lab, {}),
  'of which nothing is new': () => undefined,
}
/** Idle ones would go. */
const ofHeld: typeof ofEither = {
  ...ofEither,
  'whose instance is stopped': (lab) => lab.ec2.stopInstance('i-large'),
  'whose node object has gone, and the instance runs': (lab) => lab.api.store('nodes').delete('large'),
}

for (const { how, start, whys } of [
  { how: 'held', start: held, whys: ofHeld },
  { how: 'idle', start: idle, whys: ofEither },
])
  describe(`ten ENIs that are ${how}`, () => {
    for (const [why, happen] of Object.entries(whys))
      test(why, async () => {
        const lab = await start()
        happen(lab)
        await lab.clock.advance(10 * minuteMs)
        lab.ec2.calls.clear()
        await lab.clock.advance(hourMs)
        const describes = [...lab.ec2.calls].filter(({ action }) => action.startsWith('Describe')).length
        assert.ok(describes <= 65, `${describes} describes in an hour`)
        assert.equal(lab.ec2.calls.count(), describes, 'nothing is changed')
        lab.checkEnd()
        assert.deepEqual([...lab.violations], [])
      })
  })
