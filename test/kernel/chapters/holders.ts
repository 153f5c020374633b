// Cards that cannot be taken away on a real kernel: a pod has one open, a process of nobody's has one open, the kernel's driver does not
// give one up, or another function shares its IOMMU group. Every time no unbind is tried that would wait, no ENI is detached under
// anybody's hands, all else on the node goes on, and all is well again when the cause is gone.
import assert from 'node:assert/strict'
import { afterEach, before, it } from 'node:test'
import type { GuestNode } from '../../../sim/cluster/node/guest-node.ts'
import type { ENIAttachment } from '../../../src/api/eni-attachment.ts'
import { upfPod, userPlane } from '../../cluster/upf-manifests.ts'
import { CardHolder } from '../card-holder.ts'
import { interfaceOf, pictureOf } from '../card-picture.ts'
import { KeptCard } from '../kept-card.ts'
import type { Stage } from '../stage.ts'
import { setUpByHand } from '../set-up-by-hand.ts'
import { testpmdPod } from '../testpmd-pod.ts'

const nodeName = 'node-a'
const sibling = { id: 'sibling', mac: '06:00:00:00:00:51', address: '192.0.2.51' }

export function holders(stage: Stage): void {
  let node: GuestNode
  before(() => {
    node = stage.node(nodeName)
  })
  afterEach(() => stage.scenario.clear())

  const find = (matches: (attachment: ENIAttachment) => boolean) =>
    stage.scenario.observer.allAttachments().find(matches)

  const again = ({ metadata: { uid } }: ENIAttachment) => find(({ metadata }) => metadata.uid === uid)

  const isOffered = (attachment: ENIAttachment) => attachment.status?.device?.advertised === true

  const keep = (attachment: ENIAttachment) =>
    KeptCard.watch(stage.scenario, node, stage.foreign.writes(nodeName), again(attachment) ?? attachment)

  /** So many ENIs with their cards bound, which no pod has; one of them. */
  const freeENI = async (count: number) => {
    await stage.scenario.nodeENIReady(userPlane('user-plane', { warm: count, releaseAfter: '0s' }))
    const offered = () => stage.scenario.observer.allAttachments().filter(isOffered)
    await stage.scenario.until(`${count} free ENIs are offered`, () => offered().length === count)
    return offered()[0] as ENIAttachment
  }

  const refusedFor = (attachment: ENIAttachment, reason: string) =>
    stage.scenario.until(`${attachment.metadata.name} is refused: ${reason}`, () => {
      const { advertised, failure, health } = again(attachment)?.status?.device ?? {}
      return failure?.reason === reason && health === 'Unhealthy' && advertised !== true
    })

  const releaseOf = async ({ metadata }: ENIAttachment) => {
    await stage.scenario.kubectl('delete', 'enia', '--wait=false', metadata.name)
  }

  const isGone = (attachment: ENIAttachment) =>
    stage.scenario.until(`${attachment.metadata.name} is released`, () => again(attachment) === undefined)

  const metrics = () => node.guest.run('busybox', ['wget', '-q', '-O', '-', 'http://127.0.0.1:9101/metrics'])

  it('a pod has it open: whatever is deleted, it is neither unbound nor detached before the pod has ended', async () => {
    await stage.scenario.nodeENIReady(userPlane('user-plane', { releaseAfter: '0s' }))
    await stage.scenario.apply(testpmdPod('upf', { enis: 1 }))
    await stage.scenario.running('upf')
    const held = stage.scenario.claimOf('upf') as ENIAttachment
    const card = await keep(held)
    await card.opened()

    await releaseOf(held)
    // Its way to a container takes longer than a release would.
    await stage.scenario.apply(upfPod('next'))
    await stage.scenario.running('next')
    await stage.scenario.kubectl('delete', 'nodeeni', 'user-plane', '--wait=false')
    await stage.scenario.deletePods('next')
    await stage.scenario.until('the other ENI is released', () => stage.scenario.observer.allAttachments().length === 1)
    await card.assertKept()
    assert.equal(stage.scenario.pod('upf')?.running, true)

    await stage.scenario.deletePods('upf')
    await isGone(held)
    await card.assertReleased()
  })

  it('a process in no pod has it open: no pod gets it, others run, it is kept, and all is well when the process ends', async () => {
    const free = await freeENI(2)
    const card = await keep(free)
    await using holder = await CardHolder.ofDevice(node.guest, await card.deviceNode(), card.pciAddress)
    await refusedFor(free, 'CardInUse')
    await stage.scenario.event(nodeName, 'CardInUse', new RegExp(`a process has ${card.pciAddress} open`))
    assert.match(await metrics(), /^jiteni_device_plugin_failures\{reason="CardInUse"\} 1$/m)
    await stage.scenario.apply(upfPod('first'))
    await stage.scenario.running('first')
    assert.notEqual(stage.scenario.claimOf('first')?.metadata.uid, free.metadata.uid)

    await holder.end()
    await stage.scenario.until(
      'it is offered again',
      () => find(isOffered) !== undefined && isOffered(again(free) ?? free),
    )
    await using next = await CardHolder.ofDevice(node.guest, await card.deviceNode(), card.pciAddress)
    await refusedFor(free, 'CardInUse')
    await releaseOf(free)
    await stage.scenario.apply(upfPod('second'))
    await stage.scenario.running('second')
    await card.assertKept()

    await next.end()
    await isGone(free)
    await card.assertReleased()
  })

  it('a process has its group open and not the card: an unbind does not wait for that, and neither does the release', async () => {
    const free = await freeENI(1)
    const card = await keep(free)
    await using _ = await CardHolder.ofGroup(node.guest, await card.deviceNode())
    await releaseOf(free)
    await isGone(free)
    await card.assertReleased()
    await stage.scenario.apply(upfPod('upf'))
    await stage.scenario.running('upf')
  })

  it("the kernel's driver does not give it up: it is quarantined and kept, pods run with others, and it heals", async () => {
    await stage.scenario.nodeENIReady(userPlane('user-plane', { releaseAfter: '1h' }))
    const plugin = (await node.guest.run('pgrep', ['-f', '^node .*device-plugin/main.js'])).trim()
    // So that somebody else is first at the card.
    await node.guest.run('kill', ['-STOP', plugin])
    await stage.scenario.apply(upfPod('upf'))
    const isAttached = ({ status }: ENIAttachment) => status?.eni?.attached === true
    await stage.scenario.until('an ENI is attached', () => find(isAttached) !== undefined)
    const hung = find(isAttached) as ENIAttachment
    const name = await interfaceOf(node.guest, hung.status?.eni?.mac ?? '')
    await using holder = await CardHolder.ofInterface(node.guest, name)
    await node.guest.run('kill', ['-CONT', plugin])

    await refusedFor(hung, 'SysfsStuck')
    await stage.scenario.event(nodeName, 'SysfsStuck', /drivers\/e1000e\/unbind does not return/)
    assert.match(await metrics(), /^jiteni_device_plugin_quarantined_cards 1$/m)
    const { eniID, attachmentID } = hung.status?.eni ?? {}
    await releaseOf(hung)
    await stage.scenario.running('upf')
    assert.notEqual(stage.scenario.claimOf('upf')?.status?.eni?.eniID, eniID)
    const detaches = stage.scenario.installation.ec2.calls.of('DetachNetworkInterface')
    assert.equal(detaches.filter(({ parameters }) => parameters['AttachmentId'] === attachmentID).length, 0)

    await holder.end()
    await isGone(hung)
    await stage.scenario.event(nodeName, 'QuarantineEnded', new RegExp(eniID ?? ''))
    assert.match(await metrics(), /^jiteni_device_plugin_quarantined_cards 0$/m)
  })

  it('somebody else has a function of its IOMMU group: both functions are left alone, and the node says why', async () => {
    await stage.scenario.nodeENIReady(userPlane('user-plane', { releaseAfter: '1h' }))
    const writes = stage.foreign.writes(nodeName)
    const earlier = (await writes.all()).length
    await node.cards.plugSibling(sibling)
    await stage.scenario.apply(upfPod('upf'))
    const isRefused = ({ status }: ENIAttachment) => status?.device?.failure?.reason === 'GroupInUse'
    await stage.scenario.until('an ENI is refused', () => find(isRefused) !== undefined)
    const refused = find(isRefused) as ENIAttachment
    await setUpByHand(node.guest, sibling.mac, sibling.address)
    const macs = [sibling.mac, refused.status?.eni?.mac ?? '']
    const picture = await pictureOf(node, macs)
    const [its, ours] = picture.map(({ pciAddress }) => pciAddress)
    const message = new RegExp(`${ours} shares IOMMU group [0-9]+ with ${its}, which is in use by e1000e`)
    assert.match(refused.status?.device?.failure?.message ?? '', message)
    await stage.scenario.event(nodeName, 'GroupInUse', message)
    assert.match(await metrics(), /^jiteni_device_plugin_failures\{reason="GroupInUse"\} 1$/m)
    assert.deepEqual(await pictureOf(node, macs), picture)
    assert.deepEqual((await writes.all()).slice(earlier), [])
  })
}
