// A node without an IOMMU whose vfio cannot do without one: its kernel driver gets the card back, the node says why, and pods run elsewhere.
import assert from 'node:assert/strict'
import { before, it } from 'node:test'
import type { ENIAttachment } from '../../../src/api/eni-attachment.ts'
import type { GuestNode } from '../../../sim/cluster/node/guest-node.ts'
import { userPlane } from '../../cluster/upf-manifests.ts'
import { CardHistory } from '../card-history.ts'
import { preflightOn } from '../plugin-preflight.ts'
import { quietPod } from '../quiet-pod.ts'
import type { Stage } from '../stage.ts'

const nodeENI = 'user-plane'
const firstSlot = '0000:00:07.0'

export function noVfio(stage: Stage): void {
  let unable: GuestNode
  before(async () => {
    unable = stage.node('unable')
    await stage.scenario.nodeENIReady(userPlane(nodeENI, { nodeSelector: { pool: 'user-plane' }, releaseAfter: '0s' }))
  })

  const why =
    /vfio-pci did not take 0000:00:07\.0: the node has no IOMMU.*CONFIG_VFIO_NOIOMMU.*the kernel has the card again; use /
  const attachesTo = (node: GuestNode) => {
    const instanceID = stage.scenario.installation.instanceId(node.name)
    const calls = stage.scenario.installation.ec2.calls.of('AttachNetworkInterface')
    return calls.filter(({ parameters }) => parameters['InstanceId'] === instanceID).length
  }

  it('--check says what it lacks', async () => {
    const { findings, passed } = await preflightOn(stage.scenario, unable)
    assert.match(
      findings,
      /^BAD +IOMMU +none, and the kernel is built without CONFIG_VFIO_NOIOMMU\n +-> use an instance/m,
    )
    assert.equal(passed, false)
  })

  it('its kernel driver gets the card back, and the node and the ENIAttachment say why', async () => {
    const history = await CardHistory.start(unable.guest)
    let failed: ENIAttachment | undefined
    stage.scenario.observer.attachments.onChange((_name, attachment) => {
      if (attachment?.status?.device?.failure?.terminal === true) failed = attachment
    })
    await stage.scenario.apply(quietPod('picky', { prefers: 'unable' }))
    await stage.scenario.event('unable', 'NoIOMMU', why)
    await stage.scenario.until('the ENI attached in vain released', () => failed !== undefined && !isOn(unable))
    const { device } = failed?.status ?? {}
    assert.deepEqual([device?.pciAddress, device?.driver, device?.failure?.reason], [firstSlot, 'e1000e', 'NoIOMMU'])
    assert.match(device?.failure?.message ?? '', why)
    const events = await history.of(firstSlot)
    assert.deepEqual(
      events.map(({ action, driver }) => [action, driver].join(' ').trim()),
      ['add', 'bind e1000e', 'unbind', 'bind e1000e', 'unbind', 'remove'],
    )
    const writes = await stage.foreign.writes(unable.name).to(firstSlot)
    assert.deepEqual(
      writes.map(({ file, driver = '' }) => [file, driver].join(' ').trim()),
      ['driver_override vfio-pci', 'unbind', 'drivers_probe', 'driver_override', 'drivers_probe'],
    )
  })

  it('the pod says why it did not run there, and runs on the other node', async () => {
    await stage.scenario.running('picky')
    assert.equal(stage.scenario.pod('picky')?.nodeName, 'able')
    await stage.scenario.event('picky', 'FailedScheduling', new RegExp(`node unable: ${why.source}`))
    await stage.scenario.event(nodeENI, 'NoIOMMU', new RegExp(`node unable: ${why.source}`))
    await stage.scenario.event(nodeENI, 'NodesRefuse', /^1 of its nodes cannot use its ENIs: unable \(NoIOMMU\)/)
  })

  it('no other ENI is made there for a pod that can run nowhere else, and that pod says where to look', async () => {
    await stage.scenario.apply(quietPod('stubborn', { node: 'unable' }))
    await stage.scenario.event(
      'stubborn',
      'FailedScheduling',
      /node cannot use the NodeENI \(see kubectl describe node\)/,
    )
    assert.equal(attachesTo(unable), 1)
    await stage.scenario.kubectl('delete', 'pod', 'stubborn')
  })

  const isOn = ({ name }: GuestNode) => stage.scenario.attachmentsOf(nodeENI).some(({ spec }) => spec.nodeName === name)
}
