// The NUMA node that the kubelet hears of a device, from sysfs to its list.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { resource } from './cluster-in-memory.ts'
import { startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'

const rows = [
  {
    name: 'none while the platform says -1, as most virtual machines do',
    topology: 'auto',
    said: undefined,
    heard: [],
  },
  { name: "the platform's", topology: 'auto', said: 1, heard: [1] },
  { name: 'node 0, which is a node as well', topology: 'auto', said: 0, heard: [0] },
  { name: 'none when the setting says so', topology: 'none', said: 1, heard: [] },
  { name: "the setting's, whatever the platform says", topology: 0, said: 1, heard: [0] },
] as const

for (const { name, topology, said, heard } of rows) {
  test(`the NUMA node of a device: ${name}`, async (t) => {
    const node = await startNode(t, { topology })
    const nodes: (readonly number[])[] = []
    node.kubelet.effects.on('listed', (_resource, devices) => nodes.push(...devices.map(({ numaNodes }) => numaNodes)))
    node.cluster.addNodeENI('upf')
    await node.startPlugin()
    await node.kubelet.effects.until(() => node.kubelet.counts().has(resource))
    node.cluster.addAttachment('a', { mac })
    await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1, ...(said !== undefined && { numaNode: said }) })
    await node.cluster.until(() => node.cluster.device('a')?.advertised === true)
    assert.ok(nodes.length > 0)
    assert.ok(
      nodes.every((each) => JSON.stringify(each) === JSON.stringify(heard)),
      JSON.stringify(nodes),
    )
  })
}
