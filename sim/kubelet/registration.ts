// Registration as the kubelet does it (pkg/kubelet/cm/devicemanager/plugin/v1beta1/server.go, handler.go, 1.36): dial back and ask
// for options before Register is answered, then watch the list until the stream ends. The watch does not wait for the answer.
import { join } from 'node:path'

import { devicePluginVersion } from '../../src/device-plugin/kubelet-api.ts'
import type { RegisterRequest__Output } from '../../src/device-plugin/gen/v1beta1/RegisterRequest.ts'
import type { EffectFeed } from '../pci/effect-feed.ts'
import type { DeviceManager } from './device-manager.ts'
import type { KubeletEffects } from './effects.ts'
import { connectPlugin, type PluginEndpoint } from './plugin-endpoint.ts'

const extendedResourceName = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)\/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/

export interface RegistrationFaults {
  /** Every Register is refused with this text. */
  refuseWith: string | null
  /** Register waits for this before the kubelet dials. */
  dialAfter: Promise<void> | null
  /** Register is answered only after this; the list is watched before. */
  answerAfter: Promise<void> | null
  /** Register is answered well, and the list never watched (kubernetes/kubernetes#92958). */
  watchesNothing: boolean
  /** The kubelet is told only after this that a stream has ended. */
  endAfter: Promise<void> | null
}

export class Registration {
  readonly faults: RegistrationFaults = {
    refuseWith: null,
    dialAfter: null,
    answerAfter: null,
    watchesNothing: false,
    endAfter: null,
  }
  readonly #pluginDirectory: string
  readonly #dialDeadlineMs: number
  readonly #devices: DeviceManager
  readonly #effects: EffectFeed<KubeletEffects>
  readonly #current = new Map<string, PluginEndpoint>()
  /** Whose stream is open. */
  readonly #watched = new Set<PluginEndpoint>()
  /** One for each life of the kubelet: what an earlier life began has no effect on the next. */
  #process = Symbol('kubelet process')

  constructor(
    pluginDirectory: string,
    dialDeadlineMs: number,
    devices: DeviceManager,
    effects: EffectFeed<KubeletEffects>,
  ) {
    this.#pluginDirectory = pluginDirectory
    this.#dialDeadlineMs = dialDeadlineMs
    this.#devices = devices
    this.#effects = effects
  }

  /** Throws with the text that Register answers. */
  async register({ version, endpoint, resourceName }: RegisterRequest__Output): Promise<void> {
    const refusal = this.#refusal(version, resourceName)
    if (refusal !== null) throw new Error(refusal)
    const process = this.#process
    if (this.faults.dialAfter !== null) {
      this.#effects.report('dial-held', resourceName)
      await this.faults.dialAfter
      if (process !== this.#process) throw new Error('the kubelet has ended')
    }
    const plugin = await connectPlugin(resourceName, join(this.#pluginDirectory, endpoint), this.#dialDeadlineMs)
    if (process !== this.#process) {
      plugin.close()
      throw new Error('the kubelet has ended')
    }
    this.#current.set(resourceName, plugin)
    if (!this.faults.watchesNothing) void this.#run(plugin)
    await this.faults.answerAfter
    this.#effects.report('registered', resourceName, endpoint)
  }

  plugin(resource: string): PluginEndpoint | undefined {
    return this.#current.get(resource)
  }

  /** Open ListAndWatch streams of this resource. */
  streams(resource: string): number {
    return [...this.#watched].filter((plugin) => plugin.resource === resource).length
  }

  cancelWatches(): void {
    for (const plugin of this.#current.values()) plugin.cancelWatch()
  }

  /** The kubelet's process ends. */
  closeAll(): void {
    this.#process = Symbol('kubelet process')
    const plugins = [...this.#current.values()]
    this.#current.clear()
    for (const plugin of plugins) plugin.close()
  }

  #refusal(version: string, resource: string): string | null {
    if (this.faults.refuseWith !== null) return this.faults.refuseWith
    if (version !== devicePluginVersion) {
      return `requested API version "${version}" is not supported by kubelet. Supported version is "${devicePluginVersion}"`
    }
    if (!extendedResourceName.test(resource)) return `the ResourceName "${resource}" is invalid`
    return null
  }

  // When a stream ends 1.36 disconnects whatever plugin has the resource's name by then, be it a newer one
  // (kubernetes/kubernetes#127803).
  async #run(plugin: PluginEndpoint): Promise<void> {
    const { resource } = plugin
    const process = this.#process
    this.#watched.add(plugin)
    await plugin.watch((devices) => {
      this.#devices.list(resource, devices)
      this.#effects.report('listed', resource, devices)
    })
    this.#watched.delete(plugin)
    this.#effects.report('stream-ended', resource)
    await this.faults.endAfter
    plugin.close()
    if (process !== this.#process) return
    const current = this.#current.get(resource)
    if (current === undefined) return
    this.#current.delete(resource)
    current.close()
    this.#devices.markUnhealthy(resource)
    this.#effects.report('disconnected', resource)
  }
}
