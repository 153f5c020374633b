// How many devices of each managed resource a pod needs, counted as the kubelet counts them.
import type { V1Container, V1Pod } from '@kubernetes/client-node'

/** resource name -> devices; only resources of which at least one is asked for. */
export type Demand = ReadonlyMap<string, number>

/**
 * max(sum of containers and sidecars, each init phase), per resource (component-helpers PodRequests). The API server
 * forces limits == requests for extended resources, so limits alone are read.
 */
export function podDemand(pod: Pick<V1Pod, 'spec'>, managed: ReadonlySet<string>): Demand {
  const demand = new Map<string, number>()
  for (const resource of managed) {
    const devices = demandFor(pod, resource)
    if (devices > 0) demand.set(resource, devices)
  }
  return demand
}

function demandFor(pod: Pick<V1Pod, 'spec'>, resource: string): number {
  let sidecars = 0
  let largestInit = 0
  for (const init of pod.spec?.initContainers ?? []) {
    const count = limitOf(init, resource)
    if (init.restartPolicy === 'Always') sidecars += count
    else largestInit = Math.max(largestInit, sidecars + count)
  }
  const running = (pod.spec?.containers ?? []).reduce((sum, c) => sum + limitOf(c, resource), sidecars)
  return Math.max(running, largestInit, sidecars)
}

function limitOf(container: V1Container, resource: string): number {
  const quantity = container.resources?.limits?.[resource] ?? container.resources?.requests?.[resource]
  return quantity === undefined ? 0 : wholeNumber(quantity)
}

const scales = { k: 1e3, M: 1e6, G: 1e9, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 } as const

/** Extended resources are whole numbers, but may be written 1k, 1Ki or 2e0. */
function wholeNumber(quantity: string): number {
  const scaled = /^([0-9.]+)(k|M|G|Ki|Mi|Gi)$/.exec(quantity)
  const value = scaled === null ? Number(quantity) : Number(scaled[1]) * scales[scaled[2] as keyof typeof scales]
  return Number.isFinite(value) && value > 0 ? Math.ceil(value) : 0
}
