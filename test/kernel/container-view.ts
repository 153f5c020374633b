// A pod's container in a guest, as what runs in it sees it: each program here is one more process of the container, with its namespaces,
// its control group and its rights.
import { randomUUID } from 'node:crypto'
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import type { Scenario } from '../cluster/scenario.ts'
import { reportedContainerOf } from './guest-container.ts'

export class ContainerView {
  /** Another one after a restart of the container. */
  readonly id: string
  readonly #node: GuestNode

  private constructor(node: GuestNode, id: string) {
    this.#node = node
    this.id = id
  }

  /** Of a Running pod of namespace default. */
  static async of(scenario: Scenario, podName: string): Promise<ContainerView> {
    const { id } = await reportedContainerOf(scenario.observer, { namespace: 'default', name: podName })
    if (id === '') throw new Error(`pod ${podName} has no container`)
    return new ContainerView(scenario.installation.cluster.guest(scenario.pod(podName)?.nodeName ?? ''), id)
  }

  /** What the command writes to standard output, run by the container's shell. @throws CommandError */
  async script(text: string): Promise<string> {
    return this.#node.ctr(['tasks', 'exec', '--exec-id', randomUUID(), this.id, '/bin/sh', '-ec', text])
  }

  /** Its first process, and with it all others. */
  async kill(): Promise<void> {
    await this.#node.ctr(['tasks', 'kill', '--signal', 'SIGKILL', this.id])
  }

  /** Of its first process: proc(5). */
  async status(): Promise<ReadonlyMap<string, string>> {
    const lines = (await this.script('cat /proc/1/status')).trim().split('\n')
    return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]))
  }

  async environment(): Promise<ReadonlyMap<string, string>> {
    const variables = (await this.script('cat /proc/1/environ')).split('\0')
    return new Map(variables.map((one) => [one.slice(0, one.indexOf('=')), one.slice(one.indexOf('=') + 1)]))
  }

  /** Device nodes in its /dev, without those that every container has. */
  async devices(): Promise<string[]> {
    const nodes = (await this.script('find /dev -type c -o -type b')).trim().split('\n')
    return nodes.filter((node) => !/^\/dev\/(null|zero|full|u?random|tty|console|ptmx|pts\/.*)$/.test(node)).toSorted()
  }
}
