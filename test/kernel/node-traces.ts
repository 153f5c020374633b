// What cards and pods could leave on a guest that is a node, read behind everybody's back: from its kernel, its container runtime, its
// kubelet, and the device plugin's files.
import { z } from 'zod'
import { managedResources } from '../../sim/installation/manifests.ts'
import type { Guest } from '../../sim/guest/guest.ts'

/** Shell commands; each line that one writes is a trace. */
const places = {
  'PCI devices': 'ls /sys/bus/pci/devices',
  'cards of vfio-pci': 'ls /sys/bus/pci/drivers/vfio-pci | grep ^0000: || true',
  // "(null)" says that there is none.
  'driver overrides': 'grep -H -v "^(null)$" /sys/bus/pci/devices/*/driver_override || true',
  'IOMMU groups': 'ls /sys/kernel/iommu_groups',
  'members of IOMMU groups': 'cd /sys/kernel/iommu_groups; find . -path "*/devices/*" | sort',
  'device nodes of vfio': 'ls /dev/vfio',
  interfaces: 'ls /sys/class/net',
  'huge pages in use':
    'cd /sys/kernel/mm/hugepages/hugepages-2048kB; echo $(($(cat nr_hugepages) - $(cat free_hugepages)))',
  'files of the device plugin': 'find /var/lib/jit-eni -type f',
  'CDI specs': 'find /run/cdi -type f',
  'device-info files': 'find /run/k8s.cni.cncf.io -type f',
  'sockets of device plugins': 'cd /var/lib/kubelet/device-plugins; find . -type s',
  // Another one of the device plugin's is none.
  'number of containers': 'ls /run/containerd/io.containerd.runtime.v2.task/k8s.io | wc -l',
} as const
const checkpointFile = '/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint'

/** The kubelet writes it when the first device plugin registers. */
const noCheckpoint = JSON.stringify({ Data: { PodDeviceEntries: null, RegisteredDevices: {} } })
/** pkg/kubelet/cm/devicemanager/checkpoint/checkpoint.go */
const checkpointSchema = z.object({
  Data: z.object({
    PodDeviceEntries: z
      .array(
        z.object({
          PodUID: z.string(),
          ResourceName: z.string(),
          DeviceIDs: z.record(z.string(), z.array(z.string())),
        }),
      )
      .nullable(),
    RegisteredDevices: z.record(z.string(), z.array(z.string()).nullable()),
  }),
})

type Place = keyof typeof places | 'devices that the kubelet has given' | 'devices that the kubelet knows'
export type NodeTraces = Readonly<Record<Place, readonly string[]>>

export async function nodeTraces(guest: Guest): Promise<NodeTraces> {
  const end = '-- end of a place --'
  const commands = [...Object.values(places), `cat ${checkpointFile} || echo '${noCheckpoint}'`]
  const answers = await guest.script(commands.map((command) => `(${command})\necho '${end}'`).join('\n'))
  const lines = answers.split(`${end}\n`).map((answer) => answer.split('\n').filter((line) => line !== ''))
  const { Data: kubelet } = checkpointSchema.parse(JSON.parse(lines.at(commands.length - 1)?.join('') ?? ''))
  const ours = managedResources()
  return {
    ...(Object.fromEntries(Object.keys(places).map((place, index) => [place, lines[index] ?? []])) as Record<
      keyof typeof places,
      string[]
    >),
    'devices that the kubelet has given': (kubelet.PodDeviceEntries ?? [])
      .filter(({ ResourceName }) => ours.includes(ResourceName))
      .map(({ PodUID, DeviceIDs }) => `${PodUID} ${Object.values(DeviceIDs).flat().join()}`),
    'devices that the kubelet knows': ours.flatMap((resource) => kubelet.RegisteredDevices[resource] ?? []),
  }
}
