// Starts a real Kubernetes cluster on this machine: the entry of this folder.
import { mkdir, rename } from 'node:fs/promises'
import path from 'node:path'
import { obtainGuestKernel } from '../guest/kernel/obtain.ts'
import { obtainHostTools, type HostTools } from './binaries/host-tools.ts'
import { binaryPlaces, obtainBinaries, type BinaryDirs } from './binaries/obtain.ts'
import { allUndone, CleanUp } from './clean-up.ts'
import { Cluster } from './cluster.ts'
import { ControlPlane } from './control-plane/control-plane.ts'
import { createCredentials } from './control-plane/credentials.ts'
import type { ControlPlaneProfile } from './control-plane/profile.ts'
import { requireRoot, thisHost } from './host.ts'
import { fillImageStore } from './image/image-store.ts'
import { writeImageArchive } from './image/image-archive.ts'
import { pauseImage, upfImage } from './image/node-images.ts'
import { removeCgroup } from './node/cgroup.ts'
import { ClusterNode, type NodeSpec } from './node/cluster-node.ts'
import { containerdRoot, type GuestDisk, GuestNode, type GuestNodeSpec } from './node/guest-node.ts'
import { Place } from './place.ts'
import { runId } from './run-directory.ts'

export interface ClusterOptions {
  readonly nodes: readonly NodeSpec[]
  /** Nodes that are virtual machines. */
  readonly guests?: readonly GuestNodeSpec[]
  /** What the guests have beside the images that every node has; each writes an archive (`docker save`) below the directory. */
  readonly guestImages?: readonly ((directory: string) => Promise<string>)[]
  readonly controlPlane?: ControlPlaneProfile
  /** One line of progress at a time. */
  readonly log: (line: string) => void
  /** Aborting during the start undoes it and makes `startCluster` throw. */
  readonly signal?: AbortSignal
}

interface Foundation {
  readonly place: Place
  readonly binaries: BinaryDirs
  readonly tools: HostTools
  readonly env: NodeJS.ProcessEnv
}

/**
 * Resolves when the API server answers and all nodes are Ready. On failure it leaves nothing behind and
 * throws with the end of the log of the program that failed.
 *
 * To be called from the main thread: the kernel ends the cluster when the thread that started it ends.
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { log, signal } = options
  const host = thisHost()
  requireRoot(host)
  const tools = await obtainHostTools(host, log)
  const binaries = await obtainBinaries(binaryPlaces(process.env), log, signal)
  await using cleanUp = new CleanUp()
  const place = await Place.take(log, signal)
  cleanUp.deferLast(() => place.giveBack())
  cleanUp.defer(() => removeCgroup(runId(place.runDir)))
  // The caller's environment stays outside: its proxies and its KUBECONFIG are not the cluster's.
  const env = { PATH: host.searchDirs.join(path.delimiter), HOME: place.runDir }
  const foundation = { place, binaries, tools, env }
  const parts = await assemble(foundation, options, cleanUp)
  await startAll(foundation, parts, options)
  return new Cluster({
    runDir: place.runDir,
    ...parts,
    kubectlBinary: path.join(binaries.kubernetes, 'kubectl'),
    env,
    cleanUp: cleanUp.move(),
  })
}

interface Assembled {
  readonly controlPlane: ControlPlane
  readonly nodes: readonly ClusterNode[]
  readonly guests: readonly GuestNode[]
}

async function assemble(
  foundation: Foundation,
  { nodes: specs, guests: guestSpecs = [], controlPlane: profile = {}, log, signal }: ClusterOptions,
  cleanUp: CleanUp,
): Promise<Assembled> {
  const { place, binaries, tools, env } = foundation
  const { runDir, addresses } = place
  const names = [...specs, ...guestSpecs].map(({ name }) => name)
  const credentials = await createCredentials(runDir, names)
  const controlPlane = new ControlPlane({ runDir, addresses, binaries, credentials, env, profile })
  cleanUp.defer(() => controlPlane.stop())

  const surroundings = (index: number, { name }: NodeSpec) => ({
    directory: path.join(runDir, `n${index}`),
    podSubnet: addresses.podSubnet(index),
    dnsAddress: addresses.dns,
    kubeconfig: controlPlane.kubeconfigFor(credentials.node(name)),
    clientCAFile: credentials.kubeletClient.certificateFile,
    binaries,
    tools,
    env,
  })
  const nodes: ClusterNode[] = []
  const guests: GuestNode[] = []
  cleanUp.defer(() => addresses.podInterfacesGone())
  cleanUp.defer(() => allUndone([...nodes, ...guests].map((node) => node.powerOff())))
  for (const [index, spec] of specs.entries()) {
    const cgroup = `${runId(runDir)}/n${index}`
    nodes.push(
      new ClusterNode(spec, { ...surroundings(index, spec), address: await addresses.claimNode(index), cgroup }),
    )
  }
  if (guestSpecs.length === 0) return { controlPlane, nodes, guests }
  const kernel = await obtainGuestKernel(log, signal)
  for (const [offset, spec] of guestSpecs.entries()) {
    const index = specs.length + offset
    const loopback = addresses.nodeLoopback(index)
    guests.push(
      new GuestNode(spec, {
        ...surroundings(index, spec),
        address: await addresses.claimGuest(index),
        kernel,
        loopback,
      }),
    )
  }
  return { controlPlane, nodes, guests }
}

async function startAll(
  foundation: Foundation,
  { controlPlane, nodes, guests }: Assembled,
  { guestImages = [], log, signal }: ClusterOptions,
): Promise<void> {
  const startedAt = Date.now()
  const since = () => `${((Date.now() - startedAt) / 1000).toFixed(1)} s`
  const { place, tools } = foundation
  const images = path.join(place.runDir, 'images.tar')
  await writeImageArchive(images, tools.busybox, [pauseImage, upfImage])

  await together(signal, (ownSignal) => {
    const apiServerReady = controlPlane.start(ownSignal).then(() => {
      return log(`control plane ready after ${since()}, ${controlPlane.address.server}`)
    })
    const controllers = apiServerReady.then(() => controlPlane.startControllerManager(ownSignal))
    const scheduler = apiServerReady.then(() => controlPlane.startDefaultScheduler(ownSignal))
    const all = [...nodes, ...guests]
    const guestDisk = guests.length === 0 ? undefined : writeGuestDisk(foundation, images, guestImages, ownSignal)
    const prepared = [
      ...nodes.map((node) => node.prepare(images, ownSignal)),
      ...guests.map(async (guest) => guestDisk && guest.prepare(await guestDisk, ownSignal)),
    ]
    const ready = all.map(async (node, index) => {
      await Promise.all([prepared[index], apiServerReady])
      await node.startKubelet(ownSignal)
      await node.waitUntilReady(controlPlane.api, ownSignal)
      log(`node ${node.name} Ready after ${since()}`)
    })
    return [controllers, scheduler, ...prepared, ...ready]
  })
}

async function writeGuestDisk(
  { place, binaries, env }: Foundation,
  images: string,
  more: NonNullable<ClusterOptions['guestImages']>,
  signal: AbortSignal,
): Promise<GuestDisk> {
  const archives = [images]
  for (const write of more) archives.push(await write(place.runDir))
  const { root, snapshotter } = await fillImageStore(
    path.join(place.runDir, 'image-store'),
    archives,
    { binaries, env },
    signal,
  )
  const tree = path.join(place.runDir, 'guest-disk')
  await mkdir(path.dirname(path.join(tree, containerdRoot)), { recursive: true })
  await rename(root, path.join(tree, containerdRoot))
  return { tree, snapshotter }
}

/** The first failure aborts the others; when this throws, none of them is still at work. */
async function together(
  signal: AbortSignal | undefined,
  begin: (signal: AbortSignal) => Promise<unknown>[],
): Promise<void> {
  const failed = new AbortController()
  const either = signal === undefined ? failed.signal : AbortSignal.any([failed.signal, signal])
  const tasks = begin(either).map((task) =>
    task.catch((error: unknown) => {
      failed.abort(error)
      throw error
    }),
  )
  await Promise.allSettled(tasks)
  signal?.throwIfAborted()
  failed.signal.throwIfAborted()
}
