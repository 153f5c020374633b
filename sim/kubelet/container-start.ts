// The start of a container (kuberuntime_container.go, GetDeviceRunContainerOptions): the kubelet asks the plugin whether it may, merges
// the stored answers to Allocate, and the runtime looks up the CDI names in them.
import { type InjectedNode, injectCdiDevices } from './cdi-registry.ts'
import type { HeldDevices } from './device-manager.ts'
import type { PluginEndpoint } from './plugin-endpoint.ts'

export type ContainerStart =
  | {
      readonly started: true
      readonly envs: Readonly<Record<string, string>>
      readonly nodes: readonly InjectedNode[]
    }
  /** Tried again with backoff; the pod stays. */
  | { readonly started: false; readonly reason: string }

/** `held`: what the container has, by resource. A plugin that has not registered in this life of the kubelet is not asked (nil options). */
export async function startContainer(
  held: readonly HeldDevices[],
  plugin: (resource: string) => PluginEndpoint | undefined,
  cdiDirectory: string,
): Promise<ContainerStart> {
  try {
    for (const { resource, devices } of held) await plugin(resource)?.preStart(devices.map(({ id }) => id))
  } catch (failure) {
    return refused(`device plugin PreStartContainer rpc failed with err: ${(failure as Error).message}`)
  }
  // Of two answers with the same name or path the first wins (pod_devices.go, deviceRunContainerOptions).
  const answers = held.map(({ response }) => response).toReversed()
  const specs = answers.flatMap(({ devices }) => devices).map((spec) => [spec.containerPath, spec] as const)
  const names = new Set(held.flatMap(({ response }) => response.cdiDevices.map(({ name }) => name)))
  try {
    const nodes = [...new Map(specs).values(), ...injectCdiDevices(cdiDirectory, [...names])]
    return {
      started: true,
      envs: Object.assign({}, ...answers.map(({ envs }) => envs)) as Record<string, string>,
      nodes,
    }
  } catch (failure) {
    return refused((failure as Error).message)
  }
}

function refused(reason: string): ContainerStart {
  return { started: false, reason }
}
