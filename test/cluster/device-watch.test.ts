// What the watch over running containers calls a device in two pods.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sharedDevices } from './device-watch.ts'
import type { RunningContainer } from './running-containers.ts'

describe('a device is in two pods', () => {
  it('when two containers with it run at the same time', () => {
    const told = sharedDevices([container('a', 0, '0000:00:06.0'), container('b', 0, '0000:00:06.0')], () => true)
    assert.deepEqual(told, [
      '0000:00:06.0 of node 0 is in container a of pod pod-a and container b of pod pod-b at the same time',
    ])
  })

  it('not when one of them has ended before the other was seen', () => {
    const containers = [container('a', 0, '0000:00:06.0'), container('b', 0, '0000:00:06.0')]
    assert.deepEqual(
      sharedDevices(containers, ({ containerID }) => containerID === 'b'),
      [],
    )
  })

  it('not when they are on two nodes, or have two devices', () => {
    const first = container('a', 0, '0000:00:06.0')
    for (const other of [container('b', 1, '0000:00:06.0'), container('b', 0, '0000:00:07.0')]) {
      assert.deepEqual(
        sharedDevices([first, other], () => true),
        [],
      )
    }
  })
})

function container(name: string, nodeIndex: number, pciAddress: string): RunningContainer {
  return {
    pid: name,
    startTicks: '1',
    nodeIndex,
    podUID: `pod-${name}`,
    containerID: name,
    pciAddresses: [pciAddress],
  }
}
