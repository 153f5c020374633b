// How many devices of each managed resource a pod needs, counted as the kubelet counts them.

/** What a Pod says of its resources; Go sends null for what is unset. */
export interface ResourceAsker {
  readonly spec?: {
    readonly containers?: readonly Container[] | null | undefined
    readonly initContainers?: readonly Container[] | null | undefined
  }
}

interface Container {
  readonly restartPolicy?: string | null | undefined
  readonly resources?: { readonly limits?: Quantities; readonly requests?: Quantities } | null | undefined
}

type Quantities = Readonly<Record<string, string>> | null | undefined

/** resource name -> devices; every managed resource that the pod names, also with 0, as kube-scheduler counts names. */
export type Demand = ReadonlyMap<string, number>

/**
 * max(sum of containers and sidecars, each init phase), per resource (component-helpers PodRequests). The API server
 * forces limits == requests for extended resources, so limits alone are read.
 */
export function podDemand(pod: ResourceAsker, managed: ReadonlySet<string>): Demand {
  const named = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].flatMap(namesOf)
  const asked = [...managed].filter((resource) => named.includes(resource))
  return new Map(asked.map((resource) => [resource, demandFor(pod, resource)]))
}

function namesOf({ resources }: Container): string[] {
  return [...Object.keys(resources?.limits ?? {}), ...Object.keys(resources?.requests ?? {})]
}

function demandFor(pod: ResourceAsker, resource: string): number {
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

function limitOf(container: Container, resource: string): number {
  const quantity = container.resources?.limits?.[resource] ?? container.resources?.requests?.[resource]
  return quantity === undefined ? 0 : wholeNumber(quantity)
}

const scales = { k: 1e3, M: 1e6, G: 1e9, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 } as const

/** Extended resources are whole numbers, but may be written 1k, 1Ki or 2e0. What is not understood is more than any node has. */
function wholeNumber(quantity: string): number {
  const scaled = /^([0-9.]+)(k|M|G|Ki|Mi|Gi)$/.exec(quantity)
  const value = scaled === null ? Number(quantity) : Number(scaled[1]) * scales[scaled[2] as keyof typeof scales]
  return Number.isFinite(value) && value >= 0 ? Math.ceil(value) : Number.MAX_SAFE_INTEGER
}
