// SIGKILL of each program in the middle of an attach: once all run again, the pod runs, and nothing has leaked.
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import type { Installation } from '../../sim/installation/installation.ts'
import type { Program } from '../../sim/installation/program.ts'
import { Scenario, twoNodes } from './scenario.ts'
import { upfPod, userPlane } from './upf-manifests.ts'

const programs: Readonly<Record<string, (installation: Installation, nodeName: string) => Program>> = {
  extender: ({ extender }) => extender,
  attacher: ({ attacher }) => attacher,
  'device plugin': (installation, nodeName) => installation.devicePlugin(nodeName),
}

/** When the program is killed. The simulated bus holds the card's driver, so that the bind is still under way. */
const moments: Readonly<
  Record<string, { readonly holdDriver: boolean; readonly isNow: (attachment: ENIAttachment) => boolean }>
> = {
  'while the ENI is being attached': {
    holdDriver: false,
    isNow: ({ status }) => status?.eni?.attachmentID !== undefined,
  },
  'while the card is being bound': {
    holdDriver: true,
    isNow: ({ status }) => status?.device?.seenTime !== undefined,
  },
}

describe('a program is killed in the middle of an attach', () => {
  let scenario: Scenario
  before(async () => {
    scenario = await Scenario.start({ nodes: twoNodes })
    await scenario.nodeENIReady(userPlane('user-plane', { releaseAfter: '0s' }))
  })
  afterEach(() => scenario.check())
  after(() => scenario[Symbol.asyncDispose]())

  for (const [name, find] of Object.entries(programs)) {
    for (const [when, { holdDriver, isNow }] of Object.entries(moments)) {
      it(`${name}, ${when}`, async () => {
        const letGo = holdDriver ? holdNewCards(scenario.installation) : () => undefined
        await scenario.apply(upfPod('upf'))
        await scenario.until(when, () => {
          const attachment = scenario.claimOf('upf')
          return attachment !== undefined && isNow(attachment)
        })
        const program = find(scenario.installation, scenario.claimOf('upf')?.spec.nodeName ?? '')
        await program.kill()
        letGo()
        program.start()
        await scenario.running('upf')
        await scenario.check()
        await scenario.deletePods('upf')
        await scenario.until('its ENI is released', () => scenario.attachmentsOf('user-plane').length === 0)
        const left = scenario.installation.ec2.state.enis().map(({ eniId }) => eniId)
        assert.deepEqual(left, scenario.installation.primaryEnis, 'nothing has leaked')
      })
    }
  }
})

/** Cards keep their driver from now on, until the returned function is called. */
function holdNewCards(installation: Installation): () => void {
  const undo = installation.cluster.nodes.map(({ name }) => {
    const bus = installation.bus(name)
    const held: string[] = []
    const hold = ({ bdf }: { readonly bdf: string }) => {
      bus.hold(bdf)
      held.push(bdf)
    }
    bus.effects.on('plugged', hold)
    return () => {
      bus.effects.off('plugged', hold)
      for (const bdf of held) bus.release(bdf)
    }
  })
  return () => undo.forEach((letGo) => letGo())
}
