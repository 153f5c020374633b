// containerd's configuration on a simulated node: everything it touches is the node's own.
import { statfsSync } from 'node:fs'

const overlayfsMagic = 0x794c7630

export interface ContainerdConfig {
  readonly root: string
  readonly state: string
  readonly socket: string
  readonly cniPluginDir: string
  readonly cniConfigDir: string
  readonly cdiSpecDir: string
  readonly runc: string
  readonly pauseImage: string
  readonly snapshotter: 'overlayfs' | 'native'
}

export function containerdConfig(config: ContainerdConfig): string {
  const text = JSON.stringify
  return `version = 3
root = ${text(config.root)}
state = ${text(config.state)}
# The first would make /opt/containerd; the second is not used.
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[grpc]
  address = ${text(config.socket)}

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "${config.snapshotter}"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = ${text(config.pauseImage)}

[plugins."io.containerd.cri.v1.runtime"]
  # Without CAP_SYS_RESOURCE nobody may lower oom_score_adj: runc would die of trying.
  restrict_oom_score_adj = true
  # Network namespaces are mounts: inside the node's own directory and mount namespace they end with it.
  netns_mounts_under_state_dir = true
  # Its profile would stay loaded in the machine's kernel.
  disable_apparmor = true
  enable_cdi = true
  cdi_spec_dirs = [${text(config.cdiSpecDir)}]
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = [${text(config.cniPluginDir)}]
    conf_dir = ${text(config.cniConfigDir)}
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = ${text(config.runc)}
      SystemdCgroup = false
`
}

/** Overlayfs cannot be stacked on itself, which is what the root of a container usually is. */
export function snapshotterOn(directory: string): ContainerdConfig['snapshotter'] {
  return statfsSync(directory).type === overlayfsMagic ? 'native' : 'overlayfs'
}
