// The files of one simulated node, below the run directory of its cluster.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/**
 * Kernel settings that the kubelet insists on, and one that the CNI plugin does. They belong to the machine,
 * so on the node a file stands in for each: it already holds the wanted value, and nobody writes.
 */
const kernelSettings: Readonly<Record<string, string>> = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
  'net/ipv4/ip_forward': '1',
}

export class NodeDirectory {
  readonly path: string
  readonly containerdSocket: string
  /** What the node has as /var/lib. The kubelet's paths below it are constants. */
  readonly varLib: string
  /** What the node has as /var/log. */
  readonly varLog: string
  readonly kubeletRoot: string
  readonly cdiSpecs: string
  readonly cniConfig: string
  readonly cniLeases: string
  readonly kubernetesBinaries: string
  readonly containerdBinaries: string
  readonly containerdRoot: string
  readonly containerdState: string
  readonly volumePlugins: string

  constructor(directory: string) {
    const below = (name: string) => path.join(directory, name)
    this.path = directory
    this.containerdSocket = below('containerd.sock')
    this.varLib = below('lib')
    this.varLog = below('log')
    this.kubeletRoot = below('lib/kubelet')
    this.cdiSpecs = below('cdi')
    this.cniConfig = below('cni')
    this.cniLeases = below('cni-leases')
    this.kubernetesBinaries = below('bin/kubernetes')
    this.containerdBinaries = below('bin/containerd')
    this.containerdRoot = below('containerd')
    this.containerdState = below('state')
    this.volumePlugins = below('volume-plugins')
  }

  create(): void {
    const { kubeletRoot, varLog, cdiSpecs, cniConfig, kubernetesBinaries, containerdBinaries } = this
    const directories = [varLog, cdiSpecs, cniConfig, kubernetesBinaries, containerdBinaries]
    for (const dir of [...directories, path.join(kubeletRoot, 'device-plugins')]) {
      mkdirSync(dir, { recursive: true })
    }
    for (const { standIn, value } of this.kernelSettings()) {
      mkdirSync(path.dirname(standIn), { recursive: true })
      writeFileSync(standIn, `${value}\n`)
    }
  }

  /** What a real node has below /run, and so in memory: a boot finds it empty. */
  forgetMemory(): void {
    rmSync(this.containerdState, { recursive: true, force: true })
    rmSync(this.cdiSpecs, { recursive: true, force: true })
    mkdirSync(this.cdiSpecs)
  }

  kernelSettings(): { standIn: string; target: string; value: string }[] {
    return Object.entries(kernelSettings).map(([name, value]) => ({
      standIn: path.join(this.path, 'sysctl', name),
      target: path.join('/proc/sys', name),
      value,
    }))
  }

  write(name: string, content: string): string {
    const file = path.join(this.path, name)
    writeFileSync(file, content)
    return file
  }
}
