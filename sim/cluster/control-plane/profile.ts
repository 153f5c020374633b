// What of a control plane differs from the ordinary one: for nodes that are only objects, and for features that are off by default.

export interface ControlPlaneProfile {
  /** `objects`: Node objects without a kubelet (sim/fleet). `kubelets` unless said otherwise. */
  readonly nodes?: 'kubelets' | 'objects'
  /** Of the API server, the controller manager and every scheduler. */
  readonly featureGates?: Readonly<Record<string, boolean>>
  /** API groups that are served besides the default ones, such as `scheduling.k8s.io/v1alpha2`. */
  readonly apis?: readonly string[]
  /** What the audit log tells of: Bindings and writes of ENIAttachments, or every write. */
  readonly audit?: 'bindings' | 'writes'
}

/**
 * Controllers that judge or keep a node by its kubelet: one without a Lease is tainted after 50 s and loses its pods, and every
 * node is written to again when their number passes a bound (ttl_controller.go).
 */
const kubeletControllers = ['node-lifecycle-controller', 'taint-eviction-controller', 'ttl-controller']

export function apiServerArgs(profile: ControlPlaneProfile): string[] {
  const { nodes, apis = [] } = profile
  return [
    // It taints each new node as not ready, and waits for the node-lifecycle controller to take that back.
    ...(nodes === 'objects' ? ['--disable-admission-plugins=TaintNodesByCondition'] : []),
    ...(apis.length === 0 ? [] : [`--runtime-config=${apis.map((api) => `${api}=true`).join(',')}`]),
    ...featureGateArgs(profile),
  ]
}

export function controllerManagerArgs(profile: ControlPlaneProfile): string[] {
  const without = profile.nodes === 'objects' ? kubeletControllers : []
  return [
    ...(without.length === 0 ? [] : [`--controllers=*,${without.map((name) => `-${name}`).join(',')}`]),
    ...featureGateArgs(profile),
  ]
}

export function featureGateArgs({ featureGates = {} }: ControlPlaneProfile): string[] {
  const gates = Object.entries(featureGates).map(([name, on]) => `${name}=${on}`)
  return gates.length === 0 ? [] : [`--feature-gates=${gates.join(',')}`]
}

/** Where nodes are only objects every scheduler is the caller's: each would keep all of them, and be measured with the others. */
export function hasDefaultScheduler({ nodes }: ControlPlaneProfile): boolean {
  return nodes !== 'objects'
}
