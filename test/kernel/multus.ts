// Multus's part in the networks of a pod, without Multus: the configuration that it makes of a NetworkAttachmentDefinition, and the call
// of the plugin, inside the virtual machine, in the network namespace of the pod's sandbox.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import { cniCommand, type CniConfig } from '../cluster/cni-call.ts'

const pluginDir = '/usr/lib/cni'

const definitionSchema = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({ config: z.string() }),
})
const configSchema = z.looseObject({ type: z.string() })
const resultSchema = z.looseObject({ ips: z.array(z.looseObject({ address: z.string() })) })
const sandboxSchema = z.object({
  Spec: z.object({
    linux: z.object({ namespaces: z.array(z.object({ type: z.string(), path: z.string().optional() })) }),
  }),
})

/**
 * Of upf-networks.yaml, with the two changes of docs/interfaces.md: ipvlan's `master` is the alternative name of the interface, and
 * host-device has no `device`. Instead its definition is annotated with the resource, and Multus writes down what the kubelet has
 * allocated (delegateAddDeviceID, pkg/types/conf.go). A configuration without a name gets that of its definition.
 */
export function controlNetwork(master: string): CniConfig {
  return { ...configOf('upf-control-net'), master }
}

export function dataplaneNetwork(deviceID: string): CniConfig {
  const { device: _, ...config } = configOf('upf-dataplane-net')
  return { ...config, deviceID, pciBusID: deviceID }
}

/** One network of one pod of a node. */
export class PodNetwork {
  readonly #node: GuestNode
  readonly #sandbox: { readonly id: string; readonly netns: string }
  readonly #interfaceName: string
  readonly #config: CniConfig
  #result: object = {}

  private constructor(
    node: GuestNode,
    sandbox: { readonly id: string; readonly netns: string },
    interfaceName: string,
    config: CniConfig,
  ) {
    this.#node = node
    this.#sandbox = sandbox
    this.#interfaceName = interfaceName
    this.#config = config
  }

  static async of(node: GuestNode, podName: string, interfaceName: string, config: CniConfig): Promise<PodNetwork> {
    return new PodNetwork(node, await sandboxOf(node, podName), interfaceName, config)
  }

  /** Returns the address that the pod has got. @throws CommandError with what the plugin wrote. */
  async add(): Promise<string> {
    const { ips, ...rest } = resultSchema.parse(JSON.parse(await this.#call('ADD', this.#config)))
    this.#result = { ...rest, ips }
    const [address = ''] = ips[0]?.address.split('/') ?? []
    return address
  }

  /** All is as it was after `add`. Runtimes may ask that since version 0.4.0, whose results are those of 0.3.1. */
  async check(): Promise<void> {
    const cniVersion = '0.4.0'
    await this.#call('CHECK', { ...this.#config, cniVersion, prevResult: { ...this.#result, cniVersion } })
  }

  async del(): Promise<void> {
    await this.#call('DEL', this.#config)
  }

  /** What `ip` says of the interface in the pod. */
  async show(): Promise<string> {
    const { netns } = this.#sandbox
    return this.#node.guest.run('nsenter', [
      `--net=${netns}`,
      'ip',
      '-d',
      'address',
      'show',
      'dev',
      this.#interfaceName,
    ])
  }

  async #call(operation: 'ADD' | 'CHECK' | 'DEL', config: CniConfig): Promise<string> {
    const { id: containerID, netns } = this.#sandbox
    const call = { pluginDir, containerID, netns, interfaceName: this.#interfaceName, config }
    const { command, args, input } = cniCommand(operation, call)
    return this.#node.guest.run(command, args, { input })
  }
}

function configOf(name: string): CniConfig {
  const text = readFileSync(new URL('upf-networks.yaml', import.meta.url), 'utf8')
  const definitions = parseAllDocuments(text).map((document) => definitionSchema.parse(document.toJS()))
  const definition = definitions.find(({ metadata }) => metadata.name === name)
  assert.ok(definition, `upf-networks.yaml has no ${name}`)
  return { name, ...configSchema.parse(JSON.parse(definition.spec.config)) }
}

async function sandboxOf(node: GuestNode, podName: string): Promise<{ readonly id: string; readonly netns: string }> {
  const labels = `labels."io.kubernetes.pod.name"==${podName},labels."io.cri-containerd.kind"==sandbox`
  const id = (await node.ctr(['containers', 'list', '--quiet', labels])).trim()
  const { Spec: spec } = sandboxSchema.parse(JSON.parse(await node.ctr(['containers', 'info', id])))
  const netns = spec.linux.namespaces.find(({ type }) => type === 'network')?.path
  assert.ok(netns, `the sandbox ${id} of pod ${podName} has no network namespace of its own`)
  return { id, netns }
}
