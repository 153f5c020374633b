// The host-device CNI plugin, called as a container runtime does for a pod that names such a network: it moves an interface of the
// node into the network namespace of the pod, and back. It finds it by MAC; by PCI address, as Multus asks, it would look into the
// machine's own sysfs.
import path from 'node:path'
import { runCommand } from '../../sim/cluster/run-command.ts'

export interface HostDeviceCall {
  /** Directory of the plugin. */
  readonly pluginDir: string
  /** Network namespace of the node, by its name. */
  readonly nodeNamespace: string
  /** Process of the pod's container, whose network namespace it is. */
  readonly pid: string
  readonly containerID: string
  readonly mac: string
}

const config = { cniVersion: '1.0.0', name: 'upf-data', type: 'host-device' }

/** @throws CommandError with what the plugin wrote. */
export async function hostDevice(command: 'ADD' | 'DEL', call: HostDeviceCall): Promise<void> {
  const { pluginDir, nodeNamespace, pid, containerID, mac } = call
  await runCommand('ip', ['netns', 'exec', nodeNamespace, path.join(pluginDir, 'host-device')], {
    env: {
      PATH: process.env['PATH'],
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerID,
      CNI_NETNS: `/proc/${pid}/ns/net`,
      CNI_IFNAME: 'net1',
      CNI_PATH: pluginDir,
    },
    input: JSON.stringify({ ...config, hwaddr: mac }),
  })
}
