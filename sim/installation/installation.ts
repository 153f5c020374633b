// jit-eni installed on a real cluster over a simulated EC2, whose attach plugs a card into the node (hypervisor.ts).
// The programs run as processes, but authenticate as the ServiceAccounts of deploy/, so a missing or excessive right shows. The
// device plugins run as processes or, on virtual machines and when told so, in the pods of their DaemonSet. Interfaces of simulated cards
// are real links with their MACs: in a network namespace of each node or, for pods, all in the machine's, where two nodes cannot give
// the same alternative name.
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { zoneLabel } from '../../src/api/names.ts'
import { allUndone, CleanUp } from '../cluster/clean-up.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { ClusterNode } from '../cluster/node/cluster-node.ts'
import { type ClusterOptions, startCluster } from '../cluster/start-cluster.ts'
import { type SimulatedEc2, startEc2 } from '../ec2/start-ec2.ts'
import type { Ec2Options } from '../ec2/new-ec2.ts'
import type { GuestCard } from '../guest/cards.ts'
import { type PciBus, type PciBusOptions, startPciBus } from '../pci/bus.ts'
import { applyManifests } from './apply-manifests.ts'
import { accountFor, instanceIdOf, type InstallationNode, primaryMacOf, providerIdOf, zones } from './account.ts'
import {
  guestLabel,
  machineRoot,
  onGuests,
  onSimulatedNodes,
  startDevicePluginPods,
  writeDeployedImage,
} from './device-plugin-pods.ts'
import { type CardSlots, hypervisorOver, slotsOfBus, slotsOfGuest } from './hypervisor.ts'
import { startListening } from './listening-port.ts'
import { schedulerConfiguration } from './manifests.ts'
import { pathWithNodeIp } from './node-ip.ts'
import { Program, type ProgramCode } from './program.ts'
import { attacherProgram, commonEnvironment, extenderProgram, namespace } from './programs.ts'

export interface InstallationOptions {
  readonly nodes: readonly InstallationNode[]
  /** How EC2 behaves; at once, in full view and without limits unless told. */
  readonly ec2?: Pick<Ec2Options, 'delays' | 'throttling' | 'consistency'>
  /** What the programs are started from; src unless said otherwise. */
  readonly code?: ProgramCode
  /** Where those of simulated nodes run; `pods` have the code of dist, whatever `code` says. Processes unless said otherwise. */
  readonly devicePlugins?: 'processes' | 'pods'
  /** Images that pods on virtual machines need; each writes its archive below the directory. */
  readonly guestImages?: ClusterOptions['guestImages']
  readonly log: (line: string) => void
  readonly signal?: AbortSignal
}

export interface InstalledNode {
  readonly name: string
  /** A path on this machine. */
  readonly podResourcesSocket: string
  /** On its PCI bus, the primary one too. */
  cards(): Promise<readonly InstalledCard[]>
}

export type InstalledCard = Pick<GuestCard, 'bdf' | 'mac' | 'driver'>

export interface Installation extends AsyncDisposable {
  readonly cluster: Cluster
  readonly ec2: SimulatedEc2
  readonly extender: Program
  readonly attacher: Program
  /** As one sees them from outside. */
  readonly nodes: readonly InstalledNode[]
  /** Of device plugins that run as processes. */
  devicePlugin(nodeName: string): Program
  bus(nodeName: string): PciBus
  /** Where the node's device plugin keeps its journal. */
  stateDir(nodeName: string): string
  instanceId(nodeName: string): string
  /** ENIs that were there before us. */
  readonly primaryEnis: readonly string[]
  programs(): readonly Program[]
  /** Idempotent; leaves nothing behind, or throws LeftBehind. */
  stop(): Promise<void>
}

export async function startInstallation(options: InstallationOptions): Promise<Installation> {
  await using cleanUp = new CleanUp()
  const { nodes, log, signal } = options
  const specs = nodes.map((node, index) => ({
    ...node,
    index,
    providerID: providerIdOf(node, index),
    labels: labelsOf(node),
  }))
  const simulated = specs.filter(({ machine }) => machine === undefined)
  const guestSpecs = specs.flatMap(({ machine, ...spec }) =>
    machine === undefined ? [] : [{ ...spec, machine, primaryMac: primaryMacOf(spec.index) }],
  )
  const guestImages = [writeDeployedImage, ...(options.guestImages ?? [])]
  const cluster = await startCluster({
    nodes: simulated,
    guests: guestSpecs,
    guestImages,
    log,
    ...(signal && { signal }),
  })
  cleanUp.defer(() => cluster.stop())

  // A pod has its own ip, and no right to enter another network namespace than the machine's.
  const interfaces = options.devicePlugins === 'pods' ? 'veth-in-machine-namespace' : 'veth'
  const buses = await startBuses(cluster, simulated, interfaces, cleanUp)
  const ec2 = await startEc2({
    world: accountFor(nodes),
    hypervisor: hypervisorOver(slotsByInstance(cluster, buses, nodes)),
    ...options.ec2,
  })
  cleanUp.defer(() => ec2.stop())
  const primaryEnis = ec2.state.enis().map(({ eniId }) => eniId)

  await applyManifests(cluster, signal)
  log('CRDs, roles and admission policies of deploy/ are applied')
  const asProcesses = options.devicePlugins === 'pods' ? [] : simulated
  const programs = await createPrograms(cluster, ec2, asProcesses, buses, options.code ?? 'src')
  cleanUp.defer(() => allUndone(programs.all.map((program) => program.stop())))
  await startPrograms(cluster, programs, signal)
  if (options.devicePlugins === 'pods') {
    const archive = await writeDeployedImage(cluster.runDir)
    await Promise.all(cluster.nodes.map((node) => node.importImages(archive, signal)))
    await startDevicePluginPods(cluster, onSimulatedNodes, signal)
  }
  if (cluster.guests.length > 0) await startDevicePluginPods(cluster, onGuests, signal)
  log('extender, attacher, device plugins and their scheduler are running')

  const kept = cleanUp.move()
  const stop = () => kept.run()
  return {
    cluster,
    ec2,
    extender: programs.extender,
    attacher: programs.attacher,
    nodes: [
      ...cluster.nodes.map(({ name, podResourcesSocket }) => ({
        name,
        podResourcesSocket,
        cards: async () => found(buses, name).cards(),
      })),
      ...cluster.guests.map(({ name, podResourcesSocket, cards }) => ({
        name,
        podResourcesSocket,
        cards: () => cards.list(),
      })),
    ],
    devicePlugin: (nodeName) => found(programs.devicePlugins, nodeName),
    bus: (nodeName) => found(buses, nodeName),
    stateDir: (nodeName) => stateDirOf(cluster.node(nodeName)),
    instanceId: (nodeName) => instanceIdOf(nodes.findIndex(({ name }) => name === nodeName)),
    primaryEnis,
    programs: () => programs.all,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function labelsOf({ zone, instanceType, labels, machine }: InstallationNode): Readonly<Record<string, string>> {
  return {
    [zoneLabel]: zones[zone],
    'node.kubernetes.io/instance-type': instanceType,
    ...labels,
    ...(machine !== undefined && guestLabel),
  }
}

async function startBuses(
  cluster: Cluster,
  nodes: readonly { readonly name: string; readonly index: number }[],
  interfaces: NonNullable<PciBusOptions['interfaces']>,
  cleanUp: CleanUp,
): Promise<Map<string, PciBus>> {
  const buses = new Map<string, PciBus>()
  for (const { name, index } of nodes) {
    // Where a pod of the node has it by hostPath too.
    const root = path.join(cluster.node(name).varLib, path.relative('/var/lib', machineRoot))
    await mkdir(root)
    const bus = await startPciBus({ root, iommu: 'vfio', primaryMac: primaryMacOf(index), interfaces })
    cleanUp.defer(() => bus.stop())
    buses.set(name, bus)
  }
  return buses
}

/** By instance id. */
function slotsByInstance(
  { guests }: Cluster,
  buses: ReadonlyMap<string, PciBus>,
  nodes: readonly InstallationNode[],
): Map<string, CardSlots> {
  const slots = nodes.map(({ name }, index): [string, CardSlots] => {
    const guest = guests.find((candidate) => candidate.name === name)
    return [instanceIdOf(index), guest === undefined ? slotsOfBus(found(buses, name)) : slotsOfGuest(guest.cards)]
  })
  return new Map(slots)
}

interface Programs {
  readonly extender: Program
  readonly attacher: Program
  readonly devicePlugins: ReadonlyMap<string, Program>
  readonly all: readonly Program[]
}

async function createPrograms(
  cluster: Cluster,
  ec2: SimulatedEc2,
  nodes: readonly { readonly name: string }[],
  buses: ReadonlyMap<string, PciBus>,
  code: ProgramCode,
): Promise<Programs> {
  const common = commonEnvironment(cluster)
  const extender = await extenderProgram(cluster, code)
  const attacher = await attacherProgram(cluster, ec2, code)
  const devicePlugins = new Map<string, Program>()
  for (const { name } of nodes) {
    const node = cluster.node(name)
    const { root, networkNamespace } = found(buses, name)
    const stateDir = stateDirOf(node)
    await mkdir(stateDir)
    const env = {
      ...common,
      PATH: await pathWithNodeIp(path.join(root, 'bin'), networkNamespace, common.PATH),
      KUBECONFIG: await cluster.serviceAccountKubeconfig({ namespace, name: 'jit-eni-device-plugin', boundNode: name }),
      NODE_NAME: name,
      JIT_ENI_SYS: path.join(root, 'sys'),
      JIT_ENI_DEV: path.join(root, 'dev'),
      JIT_ENI_PROC: path.join(root, 'proc'),
      JIT_ENI_STATE_DIR: stateDir,
      JIT_ENI_CDI_DIR: node.cdiSpecsDir,
      JIT_ENI_DEVICE_INFO_DIR: path.join(node.varLib, 'device-info'),
      // Nobody serves it here.
      JIT_ENI_INSTANCE_METADATA: 'off',
      JIT_ENI_DEVICE_PLUGINS_DIR: node.devicePluginsDir,
      JIT_ENI_POD_RESOURCES_SOCKET: node.podResourcesSocket,
    }
    const plugin = `device-plugin-${name}`
    const logFile = path.join(cluster.runDir, `${plugin}.log`)
    const spec = { name: plugin, program: 'device-plugin', code, logFile, env } as const
    devicePlugins.set(name, new Program(spec))
  }
  return { extender, attacher, devicePlugins, all: [extender, attacher, ...devicePlugins.values()] }
}

async function startPrograms(cluster: Cluster, programs: Programs, signal?: AbortSignal): Promise<void> {
  const { extender } = programs
  for (const program of programs.all) if (program !== extender) program.start()
  const port = await startListening(extender, signal)
  // The port stays the same in its next lives, as the scheduler knows no other.
  extender.rememberEnv({ JIT_ENI_LISTEN: `127.0.0.1:${port}` })
  const config = path.join(cluster.runDir, 'jit-eni-scheduler.json')
  await writeFile(config, JSON.stringify(schedulerConfiguration(`http://127.0.0.1:${port}`)))
  const kubeconfig = await cluster.serviceAccountKubeconfig({ namespace, name: 'jit-eni-scheduler' })
  await cluster.startScheduler({ config, kubeconfig }, signal)
}

function stateDirOf({ varLib }: ClusterNode): string {
  return path.join(varLib, 'jit-eni')
}

function found<T>(map: ReadonlyMap<string, T>, key: string): T {
  const value = map.get(key)
  if (value === undefined) throw new Error(`there is no ${key} in the installation`)
  return value
}
