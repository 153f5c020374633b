// The IPv4 addresses of one cluster, taken so that several clusters on a machine never meet.
import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { allUndone } from './clean-up.ts'
import { CommandError, runCommand } from './run-command.ts'

// 198.18.0.0/15 is set aside for tests between networks (RFC 2544): no machine owns an address of it. A
// cluster takes a /20 of it: the first /24 for services and nodes, then half a /24 of pods per node.
const blocks = 32
const firstNodeHost = 128
const maxNodes = 30
const interfaceGoneDeadlineMs = 10_000
const pollIntervalMs = 20

export class AddressBlock {
  readonly index: number
  readonly #claimed = new Set<string>()

  constructor(index: number) {
    this.index = index
  }

  /**
   * Takes the first free block by giving its first address to the loopback interface: the kernel refuses
   * an address that is there already, which makes this a lock between processes.
   */
  static async claim(): Promise<AddressBlock> {
    for (let index = blocks - 1; index >= 0; index -= 1) {
      const block = new AddressBlock(index)
      if (await block.#add(block.apiServer)) return block
    }
    throw new Error(`all ${blocks} address blocks of 198.18.0.0/15 are in use by running clusters`)
  }

  /**
   * The API server listens here, on port 443. It is also the first address of the service range and so the
   * cluster IP of the service `kubernetes`: pods reach the API with their in-cluster configuration,
   * although no kube-proxy runs.
   */
  get apiServer(): string {
    return this.#address(0, 1)
  }

  get serviceRange(): string {
    return `${this.#address(0, 0)}/25`
  }

  get dns(): string {
    return this.#address(0, 10)
  }

  /** Only for processes of this machine: all of 127.0.0.0/8 is local without any setting. */
  get loopback(): string {
    return `127.18.${this.index}.1`
  }

  /** Of a node that is a virtual machine, for what only this machine may reach. */
  nodeLoopback(node: number): string {
    return `127.18.${this.index}.${firstNodeHost + node}`
  }

  podSubnet(node: number): string {
    return `${this.#address(1 + Math.floor(node / 2), (node % 2) * 128)}/25`
  }

  /** The address of a node. The kubelet refuses 127.0.0.0/8 and any address that the machine does not have. */
  async claimNode(node: number): Promise<string> {
    if (node >= maxNodes) throw new Error(`a cluster has at most ${maxNodes} nodes`)
    const address = this.#address(0, firstNodeHost + node)
    if (!(await this.#add(address))) throw new Error(`the address ${address} is in use`)
    return address
  }

  /**
   * The address of a node in a virtual machine, which has the same one: what connects to it from here must not come from it. It
   * comes from 127.0.0.1, which QEMU's user-mode network shows to the guest as its gateway.
   */
  async claimGuest(node: number): Promise<string> {
    const address = await this.claimNode(node)
    await runCommand('ip', ['route', 'replace', 'local', address, 'dev', 'lo', 'table', 'local', 'src', '127.0.0.1'])
    return address
  }

  /**
   * Gives back all that it can, and throws when something is left. The first address goes last and only after all others: until
   * then it keeps other clusters out of the block.
   */
  async release(): Promise<void> {
    const others = [...this.#claimed].filter((address) => address !== this.apiServer)
    await allUndone(others.map((address) => this.#remove(address)))
    if (this.#claimed.has(this.apiServer)) await this.#remove(this.apiServer)
  }

  /** Takes over whatever a dead owner of this block left on the loopback interface. */
  async releaseAbandoned(): Promise<void> {
    for (const { address } of networkInterfaces()['lo'] ?? []) {
      if (this.#contains(address)) this.#claimed.add(address)
    }
    await this.release()
  }

  /** The kernel removes the interfaces of ended pods a moment after their last process. */
  async podInterfacesGone(): Promise<void> {
    const startedAt = Date.now()
    while (this.#podInterfaces().length > 0) {
      if (Date.now() - startedAt > interfaceGoneDeadlineMs) {
        throw new Error(`network interfaces of pods are left: ${this.#podInterfaces().join(', ')}`)
      }
      await sleep(pollIntervalMs)
    }
  }

  #podInterfaces(): string[] {
    return Object.entries(networkInterfaces())
      .filter(([name]) => name !== 'lo')
      .filter(([, addresses]) => addresses?.some(({ address }) => this.#contains(address)))
      .map(([name]) => name)
  }

  async #add(address: string): Promise<boolean> {
    // Scope host: never chosen as the source address of anything that leaves the machine.
    const args = ['address', 'add', `${address}/32`, 'dev', 'lo', 'scope', 'host']
    try {
      await runCommand('ip', args)
    } catch (error) {
      const taken = error instanceof CommandError && /exists|already assigned/i.test(error.stderr)
      if (taken) return false
      throw error
    }
    this.#claimed.add(address)
    return true
  }

  async #remove(address: string): Promise<void> {
    // That of a guest would outlive its address.
    await runCommand('ip', ['route', 'flush', 'table', 'local', 'exact', `${address}/32`])
    await runCommand('ip', ['address', 'delete', `${address}/32`, 'dev', 'lo'])
    this.#claimed.delete(address)
  }

  #address(subnet: number, host: number): string {
    const third = this.index * 16 + subnet
    return `198.${18 + Math.floor(third / 256)}.${third % 256}.${host}`
  }

  #contains(address: string): boolean {
    const [first, second, third] = address.split('.').map(Number)
    if (first !== 198 || second === undefined || third === undefined) return false
    return Math.floor(((second - 18) * 256 + third) / 16) === this.index
  }
}
