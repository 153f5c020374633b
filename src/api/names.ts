// The words that the three programs share: API group, finalizers, annotations, tags and labels. Nothing else defines them.

export const group = 'networking.k8s.aws'
export const version = 'v1alpha1'
export const apiVersion = `${group}/${version}`

/** Finalizers of an ENIAttachment, ended in this order: the card leaves the kubelet and its driver, then EC2. */
export const deviceFinalizer = `${group}/device`
export const eniFinalizer = `${group}/eni`
/** Finalizer of a NodeENI: its ENIs are gone before it is. */
export const nodeENIFinalizer = `${group}/nodeeni`

/** Node annotation, written by the attacher: JSON of `NodeCapacity` (node-capacity.ts). */
export const capacityAnnotation = `${group}/eni-capacity`

/** ENIAttachment annotation, set by hand to "true": its ENI is detached without waiting for the guest, at the guest's risk. */
export const forceDetachAnnotation = `${group}/force-detach`

/** Pod condition that wakes a pod which the extender had refused; any status change re-queues it (kube-scheduler 1.36). */
export const wakeUpCondition = `${group}/ENIAvailable`

/** EC2 tags. `no_manage` must be exactly "true" at create, or VPC CNI adopts the ENI (amazon-vpc-cni-k8s, ipamd.go). */
export const noManageTag = 'node.k8s.amazonaws.com/no_manage'
export const clusterTag = `${group}/cluster`
export const attachmentTag = `${group}/attachment-uid`
export const nodeENITag = `${group}/nodeeni`

/** Node labels that the cloud provider sets. */
export const zoneLabel = 'topology.kubernetes.io/zone'

/** Node taints that mean: no new pods, ever. Of kubectl cordon, Cluster Autoscaler and Karpenter. */
export const cordonTaint = 'node.kubernetes.io/unschedulable'
export const closingTaints = [cordonTaint, 'ToBeDeletedByClusterAutoscaler', 'karpenter.sh/disrupted'] as const

/** Field managers: of the two writers of ENIAttachment status, and of the extender, which writes spec only. */
export const attacherManager = 'jit-eni-attacher'
export const devicePluginManager = 'jit-eni-device-plugin'
export const extenderManager = 'jit-eni-extender'

/** The kube-scheduler profile that our admission policy gives to pods with a managed resource. */
export const schedulerName = 'jit-eni'
