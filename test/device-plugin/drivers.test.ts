// Every way to use a card from its plug to its release: what the driver is, what a container gets, what Multus is told.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { resource } from './cluster-in-memory.ts'
import { startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'
const pod = { namespace: 'core', name: 'upf-0' }

/** `nodes`: the path on the node, and in the container where that is another one. */
const rows = [
  {
    name: 'vfio-pci behind an IOMMU',
    iommu: 'vfio',
    nodeENI: { dpdkDriver: 'vfio-pci' },
    driver: 'vfio-pci',
    nodes: ['/dev/vfio/vfio', '/dev/vfio/1'],
    info: { vfio: { mount: '/dev/vfio/vfio', 'dev-mount': '/dev/vfio/1' } },
  },
  {
    name: 'vfio-pci without an IOMMU',
    iommu: 'noiommu',
    nodeENI: {},
    driver: 'vfio-pci',
    nodes: ['/dev/vfio/vfio', '/dev/vfio/noiommu-0 as /dev/vfio/0'],
    info: { vfio: { mount: '/dev/vfio/vfio', 'dev-mount': '/dev/vfio/0' } },
  },
  {
    name: 'igb_uio',
    iommu: 'noiommu',
    nodeENI: { dpdkDriver: 'igb_uio' },
    driver: 'igb_uio',
    nodes: ['/dev/uio0'],
    info: { uio: { mount: '/dev/uio0' } },
  },
  {
    name: "the kernel's driver",
    iommu: 'vfio',
    nodeENI: { enableDPDK: false },
    driver: 'ena',
    nodes: [],
    info: {},
  },
] as const

for (const { name, iommu, nodeENI, driver, nodes, info } of rows) {
  for (const deviceInjection of ['cdi', 'device-nodes'] as const) {
    test(`${name}, by ${deviceInjection}`, async (t) => {
      const node = await startNode(t, { iommu, deviceInjection })
      node.cluster.addNodeENI('upf', nodeENI)
      await node.startPlugin()
      const bdf = await node.acknowledged('a', mac, 'pod-1')
      assert.equal(node.cluster.device('a')?.driver, driver)
      assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
      await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)

      const start = await node.kubelet.startContainer(pod)
      assert.ok(start.started, JSON.stringify(start))
      const given = start.nodes.map(({ hostPath, containerPath }) => {
        const path = hostPath.replace(node.root, '')
        return path === containerPath ? path : `${path} as ${containerPath}`
      })
      assert.deepEqual(given, nodes)
      assert.equal(start.envs['PCIDEVICE_INTEL_COM_UPF_DATAPLANE'], bdf)
      const told = JSON.parse(start.envs['PCIDEVICE_INTEL_COM_UPF_DATAPLANE_INFO'] ?? '') as Record<string, object>
      const { eni, ...rest } = told[bdf] as { eni: { id: string } }
      assert.deepEqual(rest, { generic: { deviceID: bdf }, ...info })
      assert.equal(eni.id, 'eni-a')
      const deviceInfo = join(node.deviceInfoDir, `intel.com-upf_dataplane-${bdf}-device.json`)
      assert.match(readFileSync(deviceInfo, 'utf8'), new RegExp(`"pci-address":"${bdf}"`))

      node.kubelet.endPod(pod)
      node.cluster.setClaim('a', undefined)
      node.cluster.delete('a')
      await node.cluster.until(() => node.cluster.isReleased('a'))
      assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
      while (existsSync(deviceInfo)) {
        await node.passed()
        // A pass alone lets no file be removed.
        await new Promise(setImmediate)
      }
    })
  }
}
