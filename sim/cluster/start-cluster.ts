// Starts a real Kubernetes cluster on this machine: the entry of this folder.
import path from 'node:path'
import { obtainHostTools, type HostTools } from './binaries/host-tools.ts'
import { binaryPlaces, obtainBinaries, type BinaryDirs } from './binaries/obtain.ts'
import { allUndone, CleanUp } from './clean-up.ts'
import { Cluster } from './cluster.ts'
import { ControlPlane } from './control-plane/control-plane.ts'
import { createCredentials } from './control-plane/credentials.ts'
import { requireRoot, thisHost } from './host.ts'
import { writeImageArchive } from './image/image-archive.ts'
import { pauseImage, upfImage } from './image/node-images.ts'
import { removeCgroup } from './node/cgroup.ts'
import { ClusterNode, type NodeSpec } from './node/cluster-node.ts'
import { Place } from './place.ts'
import { runId } from './run-directory.ts'

export interface ClusterOptions {
  readonly nodes: readonly NodeSpec[]
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
  const { controlPlane, nodes } = await assemble(foundation, options.nodes, cleanUp)
  await startAll(foundation, controlPlane, nodes, options)
  return new Cluster({
    runDir: place.runDir,
    controlPlane,
    nodes,
    kubectlBinary: path.join(binaries.kubernetes, 'kubectl'),
    env,
    cleanUp: cleanUp.move(),
  })
}

async function assemble(
  foundation: Foundation,
  specs: readonly NodeSpec[],
  cleanUp: CleanUp,
): Promise<{ controlPlane: ControlPlane; nodes: ClusterNode[] }> {
  const { place, binaries, tools, env } = foundation
  const { runDir, addresses } = place
  const names = specs.map(({ name }) => name)
  const credentials = await createCredentials(runDir, names)
  const controlPlane = new ControlPlane({ runDir, addresses, binaries, credentials, env })
  cleanUp.defer(() => controlPlane.stop())

  const nodes: ClusterNode[] = []
  cleanUp.defer(() => addresses.podInterfacesGone())
  cleanUp.defer(() => allUndone(nodes.map((node) => node.powerOff())))
  for (const [index, spec] of specs.entries()) {
    const node = new ClusterNode(spec, {
      directory: path.join(runDir, `n${index}`),
      cgroup: `${runId(runDir)}/n${index}`,
      address: await addresses.claimNode(index),
      podSubnet: addresses.podSubnet(index),
      dnsAddress: addresses.dns,
      kubeconfig: controlPlane.kubeconfigFor(credentials.node(spec.name)),
      clientCAFile: credentials.kubeletClient.certificateFile,
      binaries,
      tools,
      env,
    })
    nodes.push(node)
  }
  return { controlPlane, nodes }
}

async function startAll(
  { place, tools }: Foundation,
  controlPlane: ControlPlane,
  nodes: readonly ClusterNode[],
  { log, signal }: ClusterOptions,
): Promise<void> {
  const startedAt = Date.now()
  const since = () => `${((Date.now() - startedAt) / 1000).toFixed(1)} s`
  const images = path.join(place.runDir, 'images.tar')
  await writeImageArchive(images, tools.busybox, [pauseImage, upfImage])

  await together(signal, (ownSignal) => {
    const apiServerReady = controlPlane.start(ownSignal).then(() => {
      return log(`control plane ready after ${since()}, ${controlPlane.address.server}`)
    })
    const controllers = apiServerReady.then(() => controlPlane.startControllerManager(ownSignal))
    const scheduler = apiServerReady.then(() => controlPlane.startDefaultScheduler(ownSignal))
    const prepared = nodes.map((node) => node.prepare(images, ownSignal))
    const ready = nodes.map(async (node, index) => {
      await Promise.all([prepared[index], apiServerReady])
      await node.startKubelet(ownSignal)
      await node.waitUntilReady(controlPlane.api, ownSignal)
      log(`node ${node.name} Ready after ${since()}`)
    })
    return [controllers, scheduler, ...prepared, ...ready]
  })
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
