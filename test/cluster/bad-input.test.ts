// Wrong manifests and wrong settings get one clear line where the user looks, and no ENI.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, afterEach, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { network } from '../../sim/installation/account.ts'
import { Scenario, twoNodes } from './scenario.ts'
import { dataplane, upfPod, userPlane } from './upf-manifests.ts'

describe('bad input', () => {
  let scenario: Scenario
  before(async () => {
    scenario = await Scenario.start({ nodes: twoNodes })
  })
  afterEach(() => scenario.check())
  after(() => scenario[Symbol.asyncDispose]())

  const creates = () => scenario.installation.ec2.calls.count('CreateNetworkInterface')

  // The first test: no device plugin has registered the resource yet, and none will.
  it('a pod for which there is no NodeENI at all is told so', async () => {
    await scenario.apply(upfPod('nobody'))
    await scenario.event('nobody', 'FailedScheduling', /no NodeENI serves the resource/)
    await scenario.deletePods('nobody')
  })

  const unusable: Readonly<Record<string, [fields: Readonly<Record<string, unknown>>, reason: string, text: RegExp]>> =
    {
      'an unknown subnet': [{ subnetID: 'subnet-0doesnotexist' }, 'SubnetNotFound', /subnet-0doesnotexist/],
      'an unknown security group': [
        { securityGroupIDs: ['sg-0doesnotexist'] },
        'SecurityGroupNotFound',
        /sg-0doesnotexist/,
      ],
      'a subnet in a zone without nodes': [{ subnetID: network.farSubnet }, 'NoSubnetInZone', /eu-west-1b/],
      'an impossible index': [{ deviceIndex: 99 }, 'InvalidDeviceIndex', /99/],
      'a resource that is not managed': [
        { dpdkResourceName: 'example.com/other' },
        'ResourceNotManaged',
        /example\.com\/other.*resources/,
      ],
    }
  for (const [index, [what, [fields, reason, text]]] of Object.entries(unusable).entries()) {
    it(`a NodeENI with ${what} says so, makes no ENI, and heals when it is fixed`, async () => {
      const name = `bad-${index}`
      const eager = { attachPolicy: 'Eager' }
      await scenario.apply(userPlane(name, { ...fields, ...eager }))
      await scenario.until(reason, () => scenario.readyCondition(name)?.reason === reason)
      assert.equal(scenario.readyCondition(name)?.status, 'False')
      assert.match(scenario.readyCondition(name)?.message ?? '', text)
      await scenario.event(name, reason, text)
      assert.equal(creates(), 0)
      if (!('dpdkResourceName' in fields)) {
        await scenario.apply(userPlane(name))
        await scenario.until('Ready', () => scenario.readyCondition(name)?.status === 'True')
      }
      await scenario.kubectl('delete', 'nodeeni', name)
      assert.equal(creates(), 0)
    })
  }

  it('of two NodeENIs that disagree about one resource the younger is not used', async () => {
    await scenario.nodeENIReady(userPlane('older'))
    // Creation times have whole seconds; the name decides between two of the same second.
    await scenario.apply(userPlane('younger', { sourceDestCheck: false }))
    await scenario.until('ResourceConflict', () => scenario.readyCondition('younger')?.reason === 'ResourceConflict')
    assert.match(scenario.readyCondition('younger')?.message ?? '', /sourceDestCheck differs from NodeENI older/)
    assert.equal(scenario.readyCondition('older')?.status, 'True')
    await scenario.clear()
  })

  it('a pod that asks for more than any node can have is told so, and holds up nobody', async () => {
    await scenario.nodeENIReady(userPlane('user-plane'))
    await scenario.apply(upfPod('greedy', 1_000_000))
    await scenario.event('greedy', 'FailedScheduling', /no free ENI slot/)
    await scenario.apply(upfPod('modest'))
    await scenario.running('modest')
    await scenario.check()
    await scenario.clear()
  })

  const refused: Readonly<Record<string, [manifest: object, text: RegExp]>> = {
    'a NodeENI without a subnet': [userPlane('x', { subnetID: undefined }), /at least one subnet is needed/],
    'a NodeENI without a security group': [
      userPlane('x', { securityGroupIDs: [] }),
      /at least one security group is needed/,
    ],
    'a malformed subnet id': [userPlane('x', { subnetID: 'subnet_1' }), /spec\.subnetID/],
    'a resource name that is not qualified': [userPlane('x', { dpdkResourceName: 'upf' }), /spec\.dpdkResourceName/],
    'an MTU out of range': [userPlane('x', { mtu: 100 }), /mtu must be 0 or from 576 to 9216/],
    'a pod with a preset node': [upfPod('x', 1, { nodeName: 'node-a' }), /must not set spec\.nodeName/],
    'a pod whose init container asks for the resource': [
      upfPod('x', 1, {
        initContainers: [{ name: 'init', image: 'x', resources: { limits: { [dataplane]: '1' } } }],
      }),
      /init containers must not ask for an ENI resource/,
    ],
    'a pod of another scheduler': [upfPod('x', 1, { schedulerName: 'other' }), /must leave spec\.schedulerName unset/],
  }
  for (const [what, [manifest, text]] of Object.entries(refused)) {
    it(`${what} is refused by the API server with one line`, async () => {
      assert.match(await scenario.refusal(manifest), text)
    })
  }

  it('the resource of a NodeENI cannot be changed', async () => {
    await scenario.apply(userPlane('fixed'))
    const other = { dpdkResourceName: 'intel.com/sriov_kernel' }
    assert.match(await scenario.refusal(userPlane('fixed', other)), /dpdkResourceName is immutable/)
    await scenario.kubectl('delete', 'nodeeni', 'fixed')
  })

  it('a device plugin without its sockets ends with one line that says what is missing', async () => {
    const kubeconfig = scenario.installation.cluster.adminKubeconfig
    const ended = await run('device-plugin', {
      KUBECONFIG: kubeconfig,
      NODE_NAME: 'node-a',
      JIT_ENI_RESOURCES: 'intel.com/upf_dataplane',
      JIT_ENI_DEVICE_PLUGINS_DIR: '/nonexistent/device-plugins',
    })
    assert.equal(ended.code, 1)
    assert.match(ended.output, /^[^\n]*\/nonexistent\/device-plugins[^\n]*\n$/)
  })

  it('an attacher without a region ends with one line that says what is missing', async () => {
    const kubeconfig = scenario.installation.cluster.adminKubeconfig
    const common = { KUBECONFIG: kubeconfig, JIT_ENI_RESOURCES: 'intel.com/upf_dataplane', JIT_ENI_CLUSTER: 'c' }
    const noRegion = await run('attacher', common)
    assert.equal(noRegion.code, 1)
    assert.match(noRegion.output, /^[^\n]*[Rr]egion[^\n]*\n$/)
  })
})

function run(program: string, env: Readonly<Record<string, string>>): Promise<{ code: number; output: string }> {
  const main = fileURLToPath(new URL(`../../src/${program}/main.ts`, import.meta.url))
  const { promise, resolve } = Promise.withResolvers<{ code: number; output: string }>()
  const home = { HOME: '/nonexistent', PATH: process.env['PATH'] ?? '' }
  execFile(process.execPath, [main], { env: { ...home, ...env }, timeout: 30_000 }, (error, stdout, stderr) => {
    resolve({ code: typeof error?.code === 'number' ? error.code : 0, output: stdout + stderr })
  })
  return promise
}
