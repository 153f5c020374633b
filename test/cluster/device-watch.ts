// Looks all the time, while a test disturbs a cluster, whether any container runs without its device, whether two pods have the same
// one, and whether the device that a container has is the card that it was told. What it sees wrong it keeps, with the time.
import { statSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Installation } from '../../sim/installation/installation.ts'
import { heldDevices } from './kubelet-devices.ts'
import { deviceNumberIn, type RunningContainer, runningContainers, stillRuns } from './running-containers.ts'

const lookEveryMs = 50
const askEveryMs = 250

export class DeviceWatch {
  /** Those of the containers whose environment has this marker, one device each. */
  readonly #marker: string
  readonly #installation: Installation
  readonly #runId: string
  readonly #stop = new AbortController()
  readonly #violations = new Set<string>()
  readonly #seen = new Set<string>()
  readonly #loops: Promise<void>[]
  #looks = 0
  #lists = 0
  #unanswered = 0

  constructor(installation: Installation, marker: string) {
    this.#installation = installation
    this.#marker = marker
    this.#runId = path.basename(installation.cluster.runDir)
    this.#loops = [
      this.#every(lookEveryMs, async () => this.#look()),
      ...installation.cluster.nodes.map(({ name }) => this.#every(askEveryMs, () => this.#askKubelet(name))),
    ]
  }

  get violations(): readonly string[] {
    return [...this.#violations]
  }

  /** Containers of the marked pods that have been seen running. */
  get containersSeen(): number {
    return this.#seen.size
  }

  get summary(): string {
    const containers = `${this.#looks} looks at all processes, ${this.#seen.size} containers seen`
    return `${containers}; ${this.#lists} lists of the kubelets, ${this.#unanswered} not answered`
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#loops)
  }

  async #every(ms: number, work: () => Promise<void>): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      await work()
      await delay(ms, undefined, { signal }).catch(() => undefined)
    }
  }

  #look(): void {
    const containers = runningContainers(this.#runId, this.#marker)
    this.#looks += 1
    for (const container of containers) {
      this.#seen.add(container.containerID)
      const wrong = this.#wrongWith(container)
      // What has ended meanwhile may have lost its card.
      if (wrong !== undefined && stillRuns(container)) this.#tell(`${nameOf(container)} ${wrong}`)
    }
    for (const shared of sharedDevices(containers, stillRuns)) this.#tell(shared)
  }

  #wrongWith(container: RunningContainer): string | undefined {
    if (container.pciAddresses.length !== 1) return `runs with ${container.pciAddresses.length} devices of 1`
    const nodeName = this.#installation.cluster.nodes[container.nodeIndex]?.name ?? ''
    const bus = this.#installation.bus(nodeName)
    const [address] = container.pciAddresses
    const card = bus.cards().find(({ bdf }) => bdf === address)
    if (card === undefined) return `has ${address} of ${nodeName}, where no card is`
    if (card.driver !== 'vfio-pci' || card.deviceNode === null)
      return `has ${address} of ${nodeName}, which has driver ${card.driver}`
    const itsNumber = statSync(path.join(bus.root, card.deviceNode)).rdev
    if (deviceNumberIn(container, card.deviceNode) !== itsNumber)
      return `has ${address} of ${nodeName}, but its ${card.deviceNode} is not the card's`
    return undefined
  }

  async #askKubelet(nodeName: string): Promise<void> {
    const { podResourcesSocket } = this.#installation.cluster.node(nodeName)
    const held = await heldDevices(nodeName, podResourcesSocket).catch(() => undefined)
    if (held === undefined) {
      this.#unanswered += 1
      return
    }
    this.#lists += 1
    for (const [address, holders] of Map.groupBy(held, ({ pciAddress }) => pciAddress)) {
      const pods = [...new Set(holders.map(({ pod }) => pod))]
      if (pods.length > 1) this.#tell(`the kubelet of ${nodeName} lists ${address} for ${pods.join(' and ')}`)
    }
  }

  #tell(violation: string): void {
    this.#violations.add(violation)
  }
}

/** One that ended before the other began is no second holder: both must run still, after both have been seen. */
export function sharedDevices(
  containers: readonly RunningContainer[],
  runs: (container: RunningContainer) => boolean,
): string[] {
  const devices = containers.flatMap((container) =>
    container.pciAddresses.map((address) => ({ container, device: `${address} of node ${container.nodeIndex}` })),
  )
  return [...Map.groupBy(devices, ({ device }) => device)].flatMap(([device, holders]) => {
    const alive = holders.map(({ container }) => container).filter(runs)
    return alive.length > 1 ? [`${device} is in ${alive.map(nameOf).join(' and ')} at the same time`] : []
  })
}

function nameOf({ containerID, podUID }: RunningContainer): string {
  return `container ${containerID.slice(0, 12)} of pod ${podUID}`
}
