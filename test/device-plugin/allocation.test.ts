// What a container is given with its devices: environment and device nodes as CNF charts expect them.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { OfferedDevice } from '../../src/device-plugin/device-lists.ts'
import { containerAnswer, environmentName } from '../../src/device-plugin/allocation.ts'
import type { PciCard } from '../../src/device-plugin/pci-scan.ts'
import { resource } from './cluster-in-memory.ts'
import { cardAt } from './cards.ts'

const eni = {
  eniID: 'eni-1',
  mac: '02:00:00:00:00:66',
  subnetID: 'subnet-1',
  cidr: '10.0.1.0/24',
  addresses: ['10.0.1.7'],
  deviceIndex: 2,
  networkCard: 0,
}

function device(pciAddress: string, card: Partial<PciCard>): OfferedDevice {
  return { attachmentUID: 'uid-a', card: cardAt(pciAddress, card), eni }
}

const nodes = (dev: string) => ({ by: 'device-nodes', dev }) as const
const cdi = { by: 'cdi', dev: '/dev' } as const
const vfio = (number: string, noIommu = false) => ({ driver: 'vfio-pci', iommuGroup: { number, noIommu } })

test('the variable is named after the resource: upper case, "." and "/" become "_", "-" stays', () => {
  assert.equal(environmentName('intel.com/upf_dataplane'), 'PCIDEVICE_INTEL_COM_UPF_DATAPLANE')
  assert.equal(environmentName('intel.com/upf-n3'), 'PCIDEVICE_INTEL_COM_UPF-N3')
})

test('devices bound to vfio-pci come with the container node, once, and the node of each group', () => {
  const devices = [device('0000:00:07.0', vfio('12')), device('0000:00:06.0', vfio('3'))]
  const answer = containerAnswer(resource, devices, nodes('/dev'))
  assert.equal(answer.envs?.['PCIDEVICE_INTEL_COM_UPF_DATAPLANE'], '0000:00:07.0,0000:00:06.0')
  assert.deepEqual(answer.devices, [
    { containerPath: '/dev/vfio/vfio', hostPath: '/dev/vfio/vfio', permissions: 'rw' },
    { containerPath: '/dev/vfio/12', hostPath: '/dev/vfio/12', permissions: 'rw' },
    { containerPath: '/dev/vfio/3', hostPath: '/dev/vfio/3', permissions: 'rw' },
  ])
})

test('_INFO names the device node and the ENI of each device', () => {
  const answer = containerAnswer(resource, [device('0000:00:06.0', vfio('3'))], nodes('/dev'))
  assert.deepEqual(JSON.parse(answer.envs?.['PCIDEVICE_INTEL_COM_UPF_DATAPLANE_INFO'] ?? ''), {
    '0000:00:06.0': {
      generic: { deviceID: '0000:00:06.0' },
      vfio: { mount: '/dev/vfio/vfio', 'dev-mount': '/dev/vfio/3' },
      eni: {
        id: 'eni-1',
        mac: '02:00:00:00:00:66',
        subnet: 'subnet-1',
        cidr: '10.0.1.0/24',
        gateway: '10.0.1.1',
        addresses: ['10.0.1.7'],
        deviceIndex: 2,
        networkCard: 0,
      },
    },
  })
})

test("_INFO has the NodeENI's mtu when it sets one, and no gateway when the subnet is not known", () => {
  const answer = containerAnswer(resource, [{ ...device('0000:00:06.0', vfio('3')), mtu: 8500, eni: {} }], cdi)
  const info = JSON.parse(answer.envs?.['PCIDEVICE_INTEL_COM_UPF_DATAPLANE_INFO'] ?? '') as Record<
    string,
    { eni: object }
  >
  assert.deepEqual(info['0000:00:06.0']?.eni, { addresses: [], mtu: 8500 })
})

test('without an IOMMU the host node is noiommu-N, the node in the container plain N', () => {
  const answer = containerAnswer(resource, [device('0000:00:06.0', vfio('0', true))], nodes('/host/dev'))
  assert.deepEqual(answer.devices?.[1], {
    containerPath: '/dev/vfio/0',
    hostPath: '/host/dev/vfio/noiommu-0',
    permissions: 'rw',
  })
})

test('a device bound to igb_uio comes with its uio node', () => {
  const answer = containerAnswer(resource, [device('0000:00:06.0', { driver: 'igb_uio', uio: 'uio1' })], nodes('/dev'))
  assert.deepEqual(answer.devices, [{ containerPath: '/dev/uio1', hostPath: '/dev/uio1', permissions: 'rw' }])
  assert.match(answer.envs?.['PCIDEVICE_INTEL_COM_UPF_DATAPLANE_INFO'] ?? '', /"uio":\{"mount":"\/dev\/uio1"\}/)
})

test("a device with the kernel's driver comes with its name alone, although it has an IOMMU group", () => {
  const card = { driver: 'ena', iommuGroup: { number: '3', noIommu: false } }
  const answer = containerAnswer(resource, [device('0000:00:06.0', card)], nodes('/dev'))
  assert.deepEqual(answer.devices, [])
  assert.doesNotMatch(answer.envs?.['PCIDEVICE_INTEL_COM_UPF_DATAPLANE_INFO'] ?? '', /vfio|uio/)
})

test('by default the answer names CDI devices, which stay true when group numbers change, and no nodes', () => {
  const devices = [device('0000:00:07.0', vfio('12')), device('0000:00:06.0', vfio('3'))]
  const answer = containerAnswer(resource, devices, cdi)
  assert.deepEqual(answer.cdiDevices, [
    { name: 'intel.com/upf_dataplane=0000:00:07.0' },
    { name: 'intel.com/upf_dataplane=0000:00:06.0' },
  ])
  assert.equal(answer.devices, undefined)
})

test("a device with the kernel's driver has no CDI name: no spec file may have a device without edits", () => {
  assert.deepEqual(containerAnswer(resource, [device('0000:00:06.0', { driver: 'ena' })], cdi).cdiDevices, [])
})
