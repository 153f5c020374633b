// A real control plane with a fleet of Node objects, the manifests of deploy/, and a node simulator beside it. Extenders, schedulers and
// the attacher are started by the caller, as many and when it wants.
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Cluster as ApiServer } from '../../src/kube/cluster.ts'
import { realClock } from '../../src/process/clock.ts'
import { allUndone, CleanUp } from '../cluster/clean-up.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { ControlPlaneProfile } from '../cluster/control-plane/profile.ts'
import type { RunningScheduler } from '../cluster/control-plane/scheduler.ts'
import { startCluster } from '../cluster/start-cluster.ts'
import type { SimulatedEc2 } from '../ec2/start-ec2.ts'
import { applyManifests } from '../installation/apply-manifests.ts'
import { startListening } from '../installation/listening-port.ts'
import { managedResources } from '../installation/manifests.ts'
import type { Program, ProgramCode } from '../installation/program.ts'
import { attacherProgram, extenderProgram, namespace } from '../installation/programs.ts'
import { Fleet } from './fleet.ts'
import { defaultShape, type FleetShape } from './fleet-node.ts'
import { SimulatorProcess } from './simulator-process.ts'

export interface FleetOptions {
  /** Nodes that are there from the start. */
  readonly nodes: number
  readonly shape?: Partial<FleetShape>
  readonly controlPlane?: Omit<ControlPlaneProfile, 'nodes'>
  /** Whether pods that are bound run, and hold devices (node-simulator.ts). */
  readonly kubelets: 'present' | 'absent'
  readonly offerDelayMs?: number
  /** What the programs are started from; src unless said otherwise. */
  readonly code?: ProgramCode
  readonly log: (line: string) => void
  readonly signal?: AbortSignal
}

export interface FleetExtender {
  readonly program: Program
  /** For urlPrefix of a KubeSchedulerConfiguration. */
  readonly url: string
}

export class RunningFleet implements AsyncDisposable {
  readonly cluster: Cluster
  /** As its administrator. */
  readonly api: ApiServer
  readonly fleet: Fleet
  readonly simulator: SimulatorProcess
  readonly #code: ProgramCode
  readonly #cleanUp: CleanUp
  readonly #programs: Program[] = []
  readonly #signal: AbortSignal | undefined
  #configurations = 0

  constructor(
    parts: Pick<RunningFleet, 'cluster' | 'api' | 'fleet' | 'simulator'>,
    { code = 'src', signal }: FleetOptions,
    cleanUp: CleanUp,
  ) {
    this.cluster = parts.cluster
    this.api = parts.api
    this.fleet = parts.fleet
    this.simulator = parts.simulator
    this.#code = code
    this.#signal = signal
    this.#cleanUp = cleanUp
    cleanUp.defer(() => allUndone(this.#programs.map((program) => program.stop())))
  }

  /** On a port of its own, which it keeps in its next lives. */
  async startExtender(env: Readonly<Record<string, string>> = {}): Promise<FleetExtender> {
    const ordinal = this.#programs.length
    const name = ordinal === 0 ? 'extender' : `extender-${ordinal}`
    const program = await extenderProgram(this.cluster, this.#code, env, name)
    this.#programs.push(program)
    const port = await startListening(program, this.#signal)
    program.rememberEnv({ JIT_ENI_LISTEN: `127.0.0.1:${port}` })
    return { program, url: `http://127.0.0.1:${port}` }
  }

  async startAttacher(ec2: SimulatedEc2, env: Readonly<Record<string, string>> = {}): Promise<Program> {
    const program = await attacherProgram(this.cluster, ec2, this.#code, env)
    this.#programs.push(program)
    program.start()
    return program
  }

  /** With this KubeSchedulerConfiguration, as the ServiceAccount of deploy/. */
  async startScheduler(configuration: object): Promise<RunningScheduler> {
    const config = path.join(this.cluster.runDir, `fleet-scheduler-${this.#configurations++}.json`)
    await writeFile(config, JSON.stringify(configuration))
    const kubeconfig = await this.cluster.serviceAccountKubeconfig({ namespace, name: 'jit-eni-scheduler' })
    return this.cluster.startScheduler({ config, kubeconfig }, this.#signal)
  }

  programs(): readonly Program[] {
    return this.#programs
  }

  /** Idempotent; leaves nothing behind, or throws LeftBehind. */
  stop(): Promise<void> {
    return this.#cleanUp.run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

export async function startFleet(options: FleetOptions): Promise<RunningFleet> {
  const { nodes, shape, controlPlane, kubelets, offerDelayMs = 0, log, signal } = options
  await using cleanUp = new CleanUp()
  const profile = { ...controlPlane, nodes: 'objects' } as const
  const cluster = await startCluster({ nodes: [], controlPlane: profile, log, ...(signal && { signal }) })
  cleanUp.defer(() => cluster.stop())
  await applyManifests(cluster, signal)
  const kubeconfig = cluster.adminKubeconfig
  const api = new ApiServer(kubeconfig)
  const fleet = new Fleet(api, { ...defaultShape, ...shape }, realClock)
  await fleet.addNodes(nodes)
  log(`${nodes} nodes are there`)
  const settings = { kubeconfig, managed: managedResources(), kubelets, offerDelayMs }
  const simulator = await SimulatorProcess.start(settings, path.join(cluster.runDir, 'fleet.log'))
  cleanUp.defer(() => simulator.stop())
  return new RunningFleet({ cluster, api, fleet, simulator }, options, cleanUp.move())
}
