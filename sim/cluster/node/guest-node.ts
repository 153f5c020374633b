// One real node in a virtual machine: kubelet, containerd and runc of this machine on a kernel of their own.
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { GuestCards } from '../../guest/cards.ts'
import { Guest } from '../../guest/guest.ts'
import type { GuestKernel } from '../../guest/kernel/obtain.ts'
import type { GuestMachine } from '../../guest/machine.ts'
import type { ApiClient } from '../api-client.ts'
import type { ImageStore } from '../image/image-store.ts'
import { pauseImage } from '../image/node-images.ts'
import type { NodeSpec, NodeSurroundings } from './cluster-node.ts'
import { containerdConfig } from './containerd-config.ts'
import { GuestProgram } from './guest-program.ts'
import { healthzPort, kubeletConfig, kubeletPort } from './kubelet-config.ts'
import { isNodeReady } from './node-ready.ts'
import { podNetworkConfig } from './pod-network.ts'

/** Everything is slower there by a factor of ten. */
const readyDeadlineMs = 120_000
const containerdSocket = '/run/containerd/containerd.sock'
const podResourcesSocket = '/var/lib/kubelet/pod-resources/kubelet.sock'
/** /var/run is a link to it, under which name deploy/ mounts it. */
const cdiSpecDir = '/run/cdi'

export interface GuestNodeSpec extends NodeSpec {
  readonly machine: GuestMachine
  readonly primaryMac: string
}

export interface GuestNodeSurroundings extends Omit<NodeSurroundings, 'cgroup'> {
  readonly kernel: GuestKernel
  /** In 127.0.0.0/8. */
  readonly loopback: string
}

/** A directory with containerd's store at `containerdRoot` below it. */
export interface GuestDisk {
  readonly tree: string
  readonly snapshotter: ImageStore['snapshotter']
}

/** Below /var/lib of the guest, which is `lib` on its disk. */
export const containerdRoot = 'lib/containerd'

export class GuestNode {
  readonly name: string
  readonly spec: GuestNodeSpec
  /** Its InternalIP. */
  readonly address: string
  readonly guest: Guest
  readonly cards: GuestCards
  /** On this machine; it leads to the kubelet's. */
  readonly podResourcesSocket: string
  readonly kubeletLog: string
  readonly containerdLog: string
  readonly #surroundings: GuestNodeSurroundings
  readonly #containerd: GuestProgram
  readonly #kubelet: GuestProgram

  constructor(spec: GuestNodeSpec, surroundings: GuestNodeSurroundings) {
    const { directory, address, loopback, env, kernel, binaries, kubeconfig } = surroundings
    const below = (name: string) => path.join(directory, name)
    mkdirSync(below('cni'), { recursive: true })
    this.name = spec.name
    this.spec = spec
    this.address = address
    this.#surroundings = surroundings
    const place = { directory, address, ports: [kubeletPort], loopback, primaryMac: spec.primaryMac, env }
    this.guest = new Guest(spec.name, spec.machine, kernel, place)
    this.cards = new GuestCards(this.guest, directory)
    this.podResourcesSocket = below('pod-resources.sock')
    this.kubeletLog = below('kubelet.log')
    this.containerdLog = below('containerd.log')
    this.#containerd = new GuestProgram(this.guest, {
      name: 'containerd',
      command: path.join(binaries.containerd, 'containerd'),
      args: ['--config', below('containerd.toml')],
      logFile: this.containerdLog,
      searchPath: binaries.containerd,
    })
    this.#kubelet = new GuestProgram(this.guest, {
      name: 'kubelet',
      command: path.join(binaries.kubernetes, 'kubelet'),
      args: [
        `--config=${below('kubelet.json')}`,
        `--kubeconfig=${kubeconfig}`,
        `--hostname-override=${spec.name}`,
        `--node-ip=${address}`,
        `--node-labels=${Object.entries(spec.labels ?? {})
          .map(([key, value]) => `${key}=${value}`)
          .join(',')}`,
        '-v=2',
      ],
      logFile: this.kubeletLog,
      searchPath: binaries.kubernetes,
    })
  }

  /** The virtual machine and its containerd: all that needs no API server yet. `disk` is what its disk has at first. */
  async prepare(disk: GuestDisk, signal?: AbortSignal): Promise<void> {
    this.#configure(disk)
    await this.guest.makeDisk(disk.tree, signal)
    await this.guest.start(signal)
    await this.startContainerd(signal)
  }

  /** Resolves when the kubelet answers, its pod-resources API too; the node becomes Ready in the API a little later. */
  async startKubelet(signal?: AbortSignal): Promise<void> {
    await this.#kubelet.start()
    const answers = async () => {
      const asks = [
        `busybox wget -q -O - http://127.0.0.1:${healthzPort}/healthz`,
        `socat -u OPEN:/dev/null UNIX-CONNECT:${podResourcesSocket}`,
      ]
      return this.guest.script(asks.join('\n'), { signal }).then(
        () => true,
        () => false,
      )
    }
    await this.#kubelet.waitUntil('answering', answers, readyDeadlineMs, signal)
    await this.guest.tunnel(this.podResourcesSocket, podResourcesSocket)
  }

  /** Ready in this boot, and the taint of a node that is not has been taken away: pods can be scheduled to it. */
  async waitUntilReady(api: ApiClient, signal?: AbortSignal): Promise<void> {
    const bootID = (await this.guest.run('cat', ['/proc/sys/kernel/random/boot_id'])).trim()
    const ready = () => isNodeReady(api, this.name, bootID)
    await this.#kubelet.waitUntil('Ready', ready, readyDeadlineMs, signal)
  }

  /** A crash of the kubelet. Containers keep running. */
  async killKubelet(): Promise<void> {
    await this.#kubelet.kill()
  }

  /** A crash of the container runtime. Containers keep running, for their shims are no children of it. */
  async killContainerd(): Promise<void> {
    await this.#containerd.kill()
  }

  /** Also starts it again after `killContainerd` and after a reset of the guest. */
  async startContainerd(signal?: AbortSignal): Promise<void> {
    await this.#containerd.start()
    const ready = () =>
      this.ctr(['version'], signal).then(
        () => true,
        () => false,
      )
    await this.#containerd.waitUntil('ready', ready, readyDeadlineMs, signal)
  }

  /** containerd's own client, for looking behind the kubelet's back. */
  async ctr(args: readonly string[], signal?: AbortSignal): Promise<string> {
    const program = path.join(this.#surroundings.binaries.containerd, 'ctr')
    return this.guest.run(program, ['--address', containerdSocket, '--namespace', 'k8s.io', ...args], { signal })
  }

  /** A reset of the guest, as by the button; kubelet and containerd start again with it. Resolves when the kubelet answers. */
  async reboot(): Promise<void> {
    await this.guest.reset()
    await this.startContainerd()
    await this.startKubelet()
  }

  /** Ends all of the node at once, as a power cut would. */
  async powerOff(): Promise<void> {
    await this.guest.kill()
    await this.cards[Symbol.asyncDispose]()
  }

  #configure({ snapshotter }: GuestDisk): void {
    const { directory, tools, podSubnet, clientCAFile, dnsAddress } = this.#surroundings
    const write = (name: string, content: string) => writeFileSync(path.join(directory, name), content)
    const network = podNetworkConfig({ name: this.name, subnet: podSubnet, leaseDir: '/run/cni-leases' })
    write('cni/10-pods.conflist', JSON.stringify(network, undefined, 2))
    write(
      'containerd.toml',
      containerdConfig({
        root: '/var/lib/containerd',
        state: '/run/containerd',
        socket: containerdSocket,
        cniPluginDir: tools.cniPluginDir,
        cniConfigDir: path.join(directory, 'cni'),
        cdiSpecDir,
        runc: tools.runc,
        pauseImage: pauseImage.name,
        snapshotter,
      }),
    )
    write('resolv.conf', '')
    const kubelet = kubeletConfig({
      // The user-mode network brings connections to the node's address to another one of the guest.
      address: '0.0.0.0',
      dnsAddress,
      containerdSocket,
      cgroupRoot: '/',
      cgroupV2: true,
      providerID: this.spec.providerID,
      resolvConf: path.join(directory, 'resolv.conf'),
      volumePluginDir: '/var/lib/kubelet-volume-plugins',
      clientCAFile,
    })
    write('kubelet.json', JSON.stringify(kubelet, undefined, 2))
  }
}
