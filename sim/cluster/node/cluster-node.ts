// One real node: kubelet, containerd and runc, in namespaces of their own on this machine.
import { connect } from 'node:net'
import path from 'node:path'
import type { ApiClient } from '../api-client.ts'
import type { BinaryDirs } from '../binaries/obtain.ts'
import type { HostTools } from '../binaries/host-tools.ts'
import { Component } from '../component.ts'
import { pauseImage } from '../image/node-images.ts'
import { runCommand } from '../run-command.ts'
import { createCgroup, isCgroupV2, removeCgroup } from './cgroup.ts'
import { containerdConfig, snapshotterOn } from './containerd-config.ts'
import { healthzPort, kubeletConfig } from './kubelet-config.ts'
import { NodeDirectory } from './node-directory.ts'
import { NodeNamespace } from './node-namespace.ts'
import { isNodeReady } from './node-ready.ts'
import { podNetworkConfig } from './pod-network.ts'

const readyDeadlineMs = 60_000
const kubeletGraceMs = 10_000
const containerdGraceMs = 10_000

export interface NodeSpec {
  readonly name: string
  readonly labels?: Readonly<Record<string, string>>
  /** As on EC2: `aws:///<zone>/<instance id>`. */
  readonly providerID: string
}

export interface NodeSurroundings {
  readonly directory: string
  readonly cgroup: string
  readonly address: string
  readonly podSubnet: string
  readonly dnsAddress: string
  readonly kubeconfig: string
  readonly clientCAFile: string
  readonly binaries: BinaryDirs
  readonly tools: HostTools
  readonly env: NodeJS.ProcessEnv
}

export class ClusterNode {
  readonly name: string
  readonly spec: NodeSpec
  /** Its InternalIP. */
  readonly address: string
  /** Seen from outside of the node: what is /var/lib inside. */
  readonly varLib: string
  /** What is /run/cdi inside. */
  readonly cdiSpecsDir: string
  /** What is /var/lib/kubelet inside. */
  readonly rootDir: string
  readonly devicePluginsDir: string
  readonly podResourcesSocket: string
  readonly kubeletLog: string
  readonly containerdLog: string
  readonly #surroundings: NodeSurroundings
  readonly #directory: NodeDirectory
  #namespace: NodeNamespace | undefined
  #containerd: Component | undefined
  #kubelet: Component | undefined

  constructor(spec: NodeSpec, surroundings: NodeSurroundings) {
    this.name = spec.name
    this.spec = spec
    this.address = surroundings.address
    this.#surroundings = surroundings
    this.#directory = new NodeDirectory(surroundings.directory)
    this.varLib = this.#directory.varLib
    this.cdiSpecsDir = this.#directory.cdiSpecs
    this.rootDir = this.#directory.kubeletRoot
    this.devicePluginsDir = path.join(this.rootDir, 'device-plugins')
    this.podResourcesSocket = path.join(this.rootDir, 'pod-resources', 'kubelet.sock')
    this.kubeletLog = path.join(surroundings.directory, 'kubelet.log')
    this.containerdLog = path.join(surroundings.directory, 'containerd.log')
  }

  /** Where the container runtime finds CNI plugins. */
  get cniPluginDir(): string {
    return this.#surroundings.tools.cniPluginDir
  }

  /** Namespaces, containerd and images: all that needs no API server yet. */
  async prepare(imageArchive: string, signal?: AbortSignal): Promise<void> {
    this.#directory.create()
    await this.boot(signal)
    await this.importImages(imageArchive, signal)
  }

  /** Also boots again after `powerOff`, without its kubelet: the disk is as it was, images and the kubelet's checkpoints with it. */
  async boot(signal?: AbortSignal): Promise<void> {
    this.#directory.forgetMemory()
    await createCgroup(this.#surroundings.cgroup)
    this.#namespace = await NodeNamespace.open()
    await this.#mount(this.#namespace)
    await this.startContainerd(signal)
  }

  /** Resolves when the kubelet answers, its pod-resources API too, which it opens a moment after its healthz; the node becomes Ready in the API a little later. */
  async startKubelet(signal?: AbortSignal): Promise<void> {
    const { spec } = this
    const { cgroup, address, kubeconfig, clientCAFile, dnsAddress } = this.#surroundings
    const directory = this.#directory
    const config = kubeletConfig({
      address,
      dnsAddress,
      containerdSocket: directory.containerdSocket,
      cgroupRoot: `/${cgroup}`,
      cgroupV2: isCgroupV2(),
      providerID: spec.providerID,
      resolvConf: directory.write('resolv.conf', ''),
      volumePluginDir: directory.volumePlugins,
      clientCAFile,
    })
    const labels = Object.entries(spec.labels ?? {}).map(([key, value]) => `${key}=${value}`)
    this.#kubelet = this.#component(
      'kubelet',
      path.join(directory.kubernetesBinaries, 'kubelet'),
      [
        `--config=${directory.write('kubelet.json', JSON.stringify(config, undefined, 2))}`,
        `--kubeconfig=${kubeconfig}`,
        `--hostname-override=${spec.name}`,
        `--node-ip=${address}`,
        ...(labels.length === 0 ? [] : [`--node-labels=${labels.join(',')}`]),
        '-v=2',
      ],
      this.kubeletLog,
    )
    const answers = async () => (await this.#kubeletHealthy()) && (await acceptsConnections(this.podResourcesSocket))
    await this.#kubelet.waitUntil('answering', answers, readyDeadlineMs, signal)
  }

  /** Ready, and the taint of a node that is not has been taken away: pods can be scheduled to it. */
  async waitUntilReady(api: ApiClient, signal?: AbortSignal): Promise<void> {
    const ready = () => isNodeReady(api, this.name)
    await this.#kubelet?.waitUntil('Ready', ready, readyDeadlineMs, signal)
  }

  /** A crash of the kubelet. Containers keep running, as they do on a real node. */
  async killKubelet(): Promise<void> {
    await this.#kubelet?.kill()
  }

  async stopKubelet(): Promise<void> {
    await this.#kubelet?.terminate(kubeletGraceMs)
  }

  async restartKubelet(): Promise<void> {
    await this.stopKubelet()
    await this.startKubelet()
  }

  /** A crash of the container runtime. The shims are no children of it (the node's first process is their parent), so containers keep running. */
  async killContainerd(): Promise<void> {
    await this.#containerd?.kill()
  }

  async stopContainerd(): Promise<void> {
    await this.#containerd?.terminate(containerdGraceMs)
  }

  /** Also starts it again after `killContainerd`; it then finds its shims by what is in its state directory. */
  async startContainerd(signal?: AbortSignal): Promise<void> {
    const { tools, podSubnet } = this.#surroundings
    const directory = this.#directory
    const network = podNetworkConfig({
      name: this.name,
      subnet: podSubnet,
      leaseDir: directory.cniLeases,
    })
    directory.write('cni/10-pods.conflist', JSON.stringify(network, undefined, 2))
    const config = containerdConfig({
      root: directory.containerdRoot,
      state: directory.containerdState,
      socket: directory.containerdSocket,
      cniPluginDir: tools.cniPluginDir,
      cniConfigDir: directory.cniConfig,
      cdiSpecDir: directory.cdiSpecs,
      runc: tools.runc,
      pauseImage: pauseImage.name,
      snapshotter: snapshotterOn(directory.path),
    })
    this.#containerd = this.#component(
      'containerd',
      path.join(directory.containerdBinaries, 'containerd'),
      ['--config', directory.write('containerd.toml', config)],
      this.containerdLog,
    )
    const ready = () =>
      this.ctr(['version']).then(
        () => true,
        () => false,
      )
    await this.#containerd.waitUntil('ready', ready, readyDeadlineMs, signal)
  }

  get kubeletPid(): number | undefined {
    return this.#kubelet?.pid
  }

  /** Adds the images of a `docker save` archive to those that pods can use. */
  async importImages(archive: string, signal?: AbortSignal): Promise<void> {
    await this.ctr(['images', 'import', archive], signal)
  }

  /** containerd's own client, for looking behind the kubelet's back. */
  async ctr(args: readonly string[], signal?: AbortSignal): Promise<string> {
    const { binaries, env } = this.#surroundings
    const socket = ['--address', this.#directory.containerdSocket, '--namespace', 'k8s.io']
    return runCommand(path.join(binaries.containerd, 'ctr'), [...socket, ...args], { env, signal })
  }

  /** Ends all of the node at once, as a power cut would, and removes what it left on the machine but its directory. */
  async powerOff(): Promise<void> {
    await this.#namespace?.close()
    await Promise.all([this.#kubelet?.exited, this.#containerd?.exited])
    await removeCgroup(this.#surroundings.cgroup)
  }

  async #mount(namespace: NodeNamespace): Promise<void> {
    const { binaries } = this.#surroundings
    const directory = this.#directory
    // First the binaries: their own place may be below a directory that is covered next.
    await namespace.bindMount(binaries.kubernetes, directory.kubernetesBinaries)
    await namespace.bindMount(binaries.containerd, directory.containerdBinaries)
    await namespace.bindMount(directory.varLib, '/var/lib')
    await namespace.bindMount(directory.varLog, '/var/log')
    // runc's state and the sockets of the shims are below /run, whatever containerd's configuration says.
    await namespace.mountMemory('/run')
    // Where a program on the node, or a pod by hostPath, writes CDI specs for containerd.
    await namespace.makeDirectory('/run/cdi')
    await namespace.bindMount(directory.cdiSpecs, '/run/cdi')
    for (const { standIn, target } of directory.kernelSettings()) {
      await namespace.bindMount(standIn, target)
    }
  }

  #component(name: string, binary: string, args: readonly string[], logFile: string): Component {
    const namespace = this.#namespace
    if (namespace === undefined) throw new Error(`node ${this.name} has not been prepared`)
    // containerd finds its shim by PATH.
    const { PATH } = this.#surroundings.env
    const env = {
      ...this.#surroundings.env,
      PATH: [this.#directory.containerdBinaries, PATH].join(path.delimiter),
    }
    return new Component({
      ...namespace.inside(binary, args),
      name: `${name} of ${this.name}`,
      env,
      logFile,
      behindNsenter: true,
    })
  }

  async #kubeletHealthy(): Promise<boolean> {
    try {
      const answer = await fetch(`http://${this.address}:${healthzPort}/healthz`)
      await answer.text()
      return answer.ok
    } catch {
      return false
    }
  }
}

/** False also for the file that a killed server has left behind. */
async function acceptsConnections(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath)
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
