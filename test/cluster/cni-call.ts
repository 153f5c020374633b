// A call of a CNI plugin as a container runtime makes it: parameters in the environment, configuration on standard input (CNI
// specification, section 2). As a command line, for whatever runs commands where the pod is.
import path from 'node:path'

export interface CniConfig {
  /** The plugin. */
  readonly type: string
  readonly [field: string]: unknown
}

export interface CniCall {
  /** A directory with the plugin and those that it delegates to. */
  readonly pluginDir: string
  readonly containerID: string
  /** The network namespace of the pod, as a path. */
  readonly netns: string
  /** That the pod is to have. */
  readonly interfaceName: string
  readonly config: CniConfig
}

export interface CniCommand {
  readonly command: string
  readonly args: readonly string[]
  readonly input: string
}

export function cniCommand(operation: 'ADD' | 'CHECK' | 'DEL', call: CniCall): CniCommand {
  const { pluginDir, containerID, netns, interfaceName, config } = call
  const variables = {
    CNI_COMMAND: operation,
    CNI_CONTAINERID: containerID,
    CNI_NETNS: netns,
    CNI_IFNAME: interfaceName,
    CNI_PATH: pluginDir,
  }
  return {
    command: 'env',
    args: [...Object.entries(variables).map(([name, value]) => `${name}=${value}`), path.join(pluginDir, config.type)],
    input: JSON.stringify(config),
  }
}
