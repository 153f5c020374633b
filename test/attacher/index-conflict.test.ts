// A device index that is taken: the next is planned as the first was, before EC2 and the other ENIs of the instance hear of it.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { resource } from './attacher-world.ts'
import { Lab } from './lab/lab.ts'
import { allForUs } from './objects.ts'

test("ENIs whose indexes are taken at the same time do not take each other's next", async () => {
  const lab = new Lab({
    ec2: { delays: { answerMs: 50, createMs: 300, attachMs: 1_000, deviceMs: 1_200 } },
    settings: { slots: allForUs },
  })
  const { scene, ec2, clock } = lab
  scene.addNode('cards')
  scene.addNodeENI('upf', { dpdkResourceName: resource })
  lab.startAttacher()
  for (const name of ['0', '1', '2']) {
    const place = { nodeName: 'cards', instanceID: 'i-cards' }
    scene.addIntent(`upf-${name}`, scene.addUnboundPod(name), place)
  }
  const indexes = () => scene.attachments().flatMap(({ status }) => status?.eni?.deviceIndex ?? [])
  await clock.until(() => indexes().length === 3, 60_000)
  // Before they are made, others have taken what is planned for them.
  for (const deviceIndex of [1, 2, 3]) scene.attachForeign('i-cards', deviceIndex)
  await clock.until(() => scene.attachments().every(({ status }) => status?.eni?.attached === true), 60_000)
  assert.equal(ec2.calls.count('CreateNetworkInterface'), 3)
  assert.equal(ec2.calls.count('AttachNetworkInterface'), 3 + 3, 'one refused for each')
  assert.deepEqual(indexes().toSorted(), [4, 5, 6])
})
