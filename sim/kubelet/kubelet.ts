// A stand-in for the kubelet's device manager: both gRPC services on real sockets, admission of pods, and faults on demand.
// Modelled (Kubernetes 1.36): Register with dial-back; device sets from ListAndWatch, unhealthy at once when the stream ends;
//   admission one pod at a time, free healthy devices in random order, refusals with the kubelet's words; pods of an unknown
//   resource admitted without a device; devices of ended pods freed only at the next admission or List; the count of allocated
//   devices that a List may reset during Allocate; the panic over a device that vanishes during Allocate; restart with checkpoint,
//   after which no pods are listed and none collected until their source has delivered; the rate limit of PodResources; a lost
//   checkpoint, after which running pods are listed without the devices that they hold; sockets left by a kill;
//   GetPreferredAllocation; pods of several containers and resources: init containers, whose devices app containers use again and
//   which List leaves out, and sidecars, which keep theirs; PreStartContainer and the replay of Allocate's stored answer at each
//   start of a container, with the runtime's lookup of CDI names.
// Not modelled: Node.status and its 10 s period (see counts()); the 5 minutes after which a stopped plugin's capacity is dropped;
//   topology and CPU manager, so no device is aligned; the plugin watcher; the checkpoint file; containers themselves, only what
//   their start is given (startContainer); pods that are admitted again by themselves after a restart (see readmit).
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import {
  status,
  type sendUnaryData,
  type Server,
  type ServiceError,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js'

import { devicePluginApi, podResourcesApi } from '../../src/device-plugin/kubelet-api.ts'
import type { Empty } from '../../src/device-plugin/gen/v1beta1/Empty.ts'
import type { RegistrationHandlers } from '../../src/device-plugin/gen/v1beta1/Registration.ts'
import { EffectFeed } from '../pci/effect-feed.ts'
import { Admission, type AdmissionResult, type PodDemand } from './admission.ts'
import { type ContainerStart, startContainer } from './container-start.ts'
import { DeviceManager, type Pod, type ResourceCount } from './device-manager.ts'
import type { KubeletEffects } from './effects.ts'
import { leaveStaleSocket, removeSockets, serve } from './kubelet-socket.ts'
import { podResourcesService } from './pod-resources-server.ts'
import { RateLimit } from './rate-limit.ts'
import { Registration } from './registration.ts'
import { seededShuffle } from './seeded-order.ts'

/** pkg/kubelet/cm/devicemanager/plugin/v1beta1/client.go dials for at most 10 s. */
const defaultDialDeadlineMs = 10_000

export interface KubeletOptions {
  /** Stands for /var/lib/kubelet. Keep it short: a socket's path has at most 107 bytes. */
  readonly dir: string
  /** Of the order in which free devices are taken. */
  readonly seed?: number
  readonly dialDeadlineMs?: number
  /** For so long after each start the kubelet has no pods from the API server yet, and lists none. */
  readonly podSourceDelayMs?: number
  /** Where the container runtime of the node looks for CDI specs. */
  readonly cdiDir?: string
  /** The clock of the PodResources limit. */
  readonly nowMs?: () => number
}

export async function startKubelet(options: KubeletOptions): Promise<Kubelet> {
  const kubelet = new Kubelet(options)
  await kubelet.start()
  return kubelet
}

export class Kubelet {
  readonly dir: string
  readonly effects: EffectFeed<KubeletEffects>
  readonly #end = new AbortController()
  readonly #devices: DeviceManager
  readonly #registration: Registration
  readonly #limit: RateLimit
  readonly #admission: Admission
  readonly #podSourceDelayMs: number
  readonly #cdiDir: string
  #servers: readonly Server[] = []
  #listAfter: Promise<void> | null = null
  #podResourcesFailure: Partial<ServiceError> | null = null

  constructor({
    dir,
    seed = 1,
    dialDeadlineMs = defaultDialDeadlineMs,
    podSourceDelayMs = 0,
    cdiDir = '/nonexistent',
    nowMs = () => performance.now(),
  }: KubeletOptions) {
    this.dir = dir
    this.effects = new EffectFeed(this.#end.signal)
    this.#devices = new DeviceManager(seededShuffle(seed))
    this.#registration = new Registration(this.#at('device-plugins'), dialDeadlineMs, this.#devices, this.effects)
    const panic = (reason: string) => {
      this.stop()
      this.effects.report('crashed', reason)
    }
    this.#admission = new Admission(this.#devices, this.#registration, panic, (devices) =>
      this.effects.report('allocate-held', devices),
    )
    this.#limit = new RateLimit(nowMs)
    this.#podSourceDelayMs = podSourceDelayMs
    this.#cdiDir = cdiDir
  }

  /** Removes every socket from the plugins' directory, the plugins' own too, then serves. */
  async start(): Promise<void> {
    this.#admission.podsFrom(performance.now() + this.#podSourceDelayMs)
    for (const name of ['device-plugins', 'pod-resources']) {
      mkdirSync(this.#at(name), { recursive: true })
      removeSockets(this.#at(name))
    }
    this.#servers = [
      await this.#servePodResources(),
      await serve(this.#at('device-plugins/kubelet.sock'), devicePluginApi.Registration.service, this.#registrations()),
    ]
    this.effects.report('started')
  }

  /** As if the process were killed. Pods keep running and keep their devices; start() brings it back. */
  stop(): void {
    for (const server of this.#servers) server.forceShutdown()
    this.#servers = []
    this.#registration.closeAll()
    this.#devices.restart()
    this.effects.report('stopped')
  }

  async restart(): Promise<void> {
    this.stop()
    await this.start()
  }

  /** While it is stopped kubelet_internal_checkpoint goes: the next life does not know what the running pods have. */
  loseCheckpoint(): void {
    this.#devices.loseCheckpoint()
  }

  /** As stop(), and its sockets stay on the disk, as after SIGKILL or a reboot. */
  async kill(): Promise<void> {
    this.stop()
    await leaveStaleSocket(this.#at('device-plugins/kubelet.sock'))
    await leaveStaleSocket(this.#at('pod-resources/kubelet.sock'))
  }

  /** For good: what waits for an effect is refused. */
  close(): void {
    this.stop()
    this.#end.abort(new Error(`the kubelet at ${this.dir} has stopped`))
  }

  /** A pod bound to this node: the kubelet gives it free devices, or it fails for ever. */
  async admit(demand: PodDemand): Promise<AdmissionResult> {
    const result = await this.#admission.admit(demand)
    if (result.admitted) this.effects.report('admitted', podName(demand), result.devices)
    else this.effects.report('rejected', podName(demand), result.message)
    return result
  }

  /** Also a later start of the same container: what the plugin answered at admission is replayed. */
  startContainer(identity: Pick<Pod, 'namespace' | 'name'>, container = 'main'): Promise<ContainerStart> {
    const held = this.#devices
      .held()
      .filter(({ pod, container: { name } }) => name === container && podName(pod) === podName(identity))
    return startContainer(held, (resource) => this.#registration.plugin(resource), this.#cdiDir)
  }

  /** After a reboot each pod is admitted again, by the checkpoint. Returns why it failed, or null when it may start. */
  async readmit(identity: Pick<Pod, 'namespace' | 'name'>): Promise<string | null> {
    const reason = await this.#admission.readmit(identity)
    if (reason !== null) this.effects.report('rejected', podName(identity), reason)
    return reason
  }

  /** All containers of the pod are dead. Its devices are free for List and for the next admission. */
  endPod(pod: Pick<Pod, 'namespace' | 'name'>): void {
    this.#admission.end(pod)
  }

  /** What Node.status would say next; a resource that was never listed has no entry. */
  counts(): ReadonlyMap<string, ResourceCount> {
    return this.#devices.counts()
  }

  /** Open ListAndWatch streams of this resource. */
  streams(resource: string): number {
    return this.#registration.streams(resource)
  }

  /** Null: Register works again. */
  refuseRegister(reason: string | null): void {
    this.#registration.faults.refuseWith = reason
  }

  /** Register waits before the kubelet dials, until the returned function is called. */
  holdDials(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#registration.faults.dialAfter = promise
    return () => {
      this.#registration.faults.dialAfter = null
      resolve()
    }
  }

  /** Register is answered only when the returned function is called; the kubelet watches the list meanwhile. */
  holdRegisterAnswers(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#registration.faults.answerAfter = promise
    return () => {
      this.#registration.faults.answerAfter = null
      resolve()
    }
  }

  /** Register is answered well, but the list is not watched, until the returned function is called. */
  watchNothing(): () => void {
    this.#registration.faults.watchesNothing = true
    return () => {
      this.#registration.faults.watchesNothing = false
    }
  }

  /** The kubelet notices the end of a stream only when the returned function is called. */
  holdStreamEnds(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#registration.faults.endAfter = promise
    return () => {
      this.#registration.faults.endAfter = null
      resolve()
    }
  }

  /** Every call of PodResources fails so; null: it works again. */
  failPodResources(failure: Partial<ServiceError> | null): void {
    this.#podResourcesFailure = failure
  }

  /** PodResources is not served, and its socket is gone, until the returned function is called. */
  removePodResources(): () => Promise<void> {
    this.#servers[0]?.forceShutdown()
    return async () => {
      this.#servers = [await this.#servePodResources(), ...this.#servers.slice(1)]
    }
  }

  /** The next admission has chosen its devices and calls Allocate only when the returned function is called. */
  holdAllocate(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#admission.allocateAfter = promise
    return () => {
      this.#admission.allocateAfter = null
      resolve()
    }
  }

  /** List is answered only when the returned function is called. */
  holdLists(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#listAfter = promise
    return () => {
      this.#listAfter = null
      resolve()
    }
  }

  /** All ListAndWatch streams break; the kubelet does not open them again. */
  killStreams(): void {
    this.#registration.cancelWatches()
  }

  /**
   * During the next Allocate a List of another client collects an ended pod, so that the device in flight is no longer counted
   * as allocated and may be given to a second pod.
   */
  raceListDuringAllocate(): void {
    this.#admission.raceNextAllocate = true
  }

  #registrations(): UntypedServiceImplementation & RegistrationHandlers {
    return {
      Register: ({ request }, answer: sendUnaryData<Empty>) => {
        this.#registration.register(request).then(
          () => answer(null, {}),
          ({ message }: Error) => {
            this.effects.report('register-refused', request.resourceName, message)
            answer({ code: status.UNKNOWN, details: message })
          },
        )
      },
    }
  }

  #servePodResources(): Promise<Server> {
    const socket = this.#at('pod-resources/kubelet.sock')
    return serve(socket, podResourcesApi.PodResourcesLister.service, this.#podResources())
  }

  #podResources() {
    return podResourcesService({
      failure: () => {
        if (this.#podResourcesFailure !== null) this.effects.report('pod-resources-failed')
        return this.#podResourcesFailure
      },
      allows: () => this.#limit.allows(),
      listAfter: async () => {
        if (this.#listAfter !== null) this.effects.report('list-held')
        await this.#listAfter
      },
      collectEnded: () => this.#admission.collectEnded(),
      activePods: () => this.#admission.activePods(),
      listed: (pods) => this.effects.report('pods-listed', pods.map(podName)),
      held: () => this.#devices.held(),
      healthy: () => this.#devices.healthy(),
    })
  }

  #at(path: string): string {
    return join(this.dir, path)
  }
}

function podName({ namespace, name }: Pick<Pod, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`
}
