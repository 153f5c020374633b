// The host-device CNI plugin, called as a container runtime does for a pod that names such a network: it moves an interface of the
// node into the network namespace of the pod, and back. It finds it by MAC; by PCI address, as Multus asks, it would look into the
// machine's own sysfs (test/kernel/interfaces.test.ts does that in virtual machines).
import { runCommand } from '../../sim/cluster/run-command.ts'
import { cniCommand } from './cni-call.ts'

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
export async function hostDevice(operation: 'ADD' | 'DEL', call: HostDeviceCall): Promise<void> {
  const { pluginDir, nodeNamespace, pid, containerID, mac } = call
  const netns = `/proc/${pid}/ns/net`
  const { command, args, input } = cniCommand(operation, {
    pluginDir,
    containerID,
    netns,
    interfaceName: 'net1',
    config: { ...config, hwaddr: mac },
  })
  await runCommand('ip', ['netns', 'exec', nodeNamespace, command, ...args], { input })
}
