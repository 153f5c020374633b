// What the tests say of the ENIs of others can fail: each change of one is told, and what EC2 does by itself is not.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { VirtualClock } from '../../sim/clock/virtual-clock.ts'
import { newEc2 } from '../../sim/ec2/new-ec2.ts'
import { modifyNetworkInterface } from '../../sim/ec2/state/modify-network-interface.ts'
import { ApiDouble } from '../kube-api/api-double.ts'
import { attacherWorld } from './attacher-world.ts'
import { Scene } from './scene.ts'

function withForeign() {
  const clock = new VirtualClock()
  const ec2 = newEc2({ world: attacherWorld, clock })
  const scene = new Scene(new ApiDouble({ clock }), ec2)
  scene.attachForeign('i-a1', 1)
  const eni = ec2.state.eni(scene.foreign.ids.at(-1) ?? '')
  return { clock, ec2, scene, eni }
}

const harms: Readonly<Record<string, (parts: ReturnType<typeof withForeign>) => void>> = {
  'has gone': ({ ec2, eni }) => ec2.state.removeEni(eni),
  'has another attachment': ({ ec2, eni }) => ec2.detachByHand(eni.eniId),
  'has another description': ({ eni }) => (eni.description = 'jit-eni upf-0'),
  'has another groupIds': ({ eni }) => (eni.groupIds = ['sg-upf']),
  'has another sourceDestCheck': ({ eni }) => (eni.sourceDestCheck = false),
  'has another tags': ({ eni }) => eni.tags.set('Name', 'upf'),
}

for (const [harm, happens] of Object.entries(harms)) {
  test(`an ENI of others that ${harm} is told`, () => {
    const parts = withForeign()
    assert.deepEqual(parts.scene.foreign.harmed(), [])
    happens(parts)
    assert.deepEqual(parts.scene.foreign.harmed(), [`${parts.eni.eniId} of others ${harm}`])
  })
}

test('DeleteOnTermination of an ENI of others is a part of its attachment', () => {
  const { ec2, scene, eni } = withForeign()
  const attachmentId = eni.attachment?.attachmentId ?? ''
  modifyNetworkInterface(ec2.state, eni.eniId, [{ attribute: 'attachment', attachmentId, deleteOnTermination: true }])
  assert.deepEqual(scene.foreign.harmed(), [`${eni.eniId} of others has another attachment`])
  scene.foreign.leave(eni.eniId)
  assert.deepEqual(scene.foreign.harmed(), [])
})

test('that EC2 ends an attach, or an instance with what is on it, is no harm', async () => {
  const { clock, scene } = withForeign()
  await clock.advance(60_000)
  assert.deepEqual(scene.foreign.harmed(), [])
  scene.terminateInstance('i-a1')
  await clock.advance(60_000)
  assert.deepEqual(scene.foreign.harmed(), [])
})
