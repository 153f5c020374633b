// The kubelet's configuration on a simulated node.
export interface KubeletConfig {
  readonly address: string
  readonly containerdSocket: string
  readonly cgroupRoot: string
  readonly cgroupV2: boolean
  readonly providerID: string
  readonly resolvConf: string
  readonly dnsAddress: string
  readonly volumePluginDir: string
  /** Whose clients may ask the kubelet. */
  readonly clientCAFile: string
}

/** Without TLS and for everyone; says only whether the kubelet is healthy. */
export const healthzPort = 10248
export const kubeletPort = 10250
/** No more pods than the node's subnet has addresses. */
const maxPods = 110
/** A changed allocatable shows in the node's status within this time, by default 10 s: too long for someone who watches. */
const statusUpdateFrequency = '1s'

export function kubeletConfig(config: KubeletConfig): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: config.address,
    port: kubeletPort,
    healthzBindAddress: config.address,
    healthzPort,
    // Linux takes packets for an address of lo from any interface: who asks must be known to the API server, or be it.
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: config.clientCAFile },
    },
    authorization: { mode: 'Webhook' },
    containerRuntimeEndpoint: `unix://${config.containerdSocket}`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: config.cgroupRoot,
    cgroupsPerQOS: true,
    ...(config.cgroupV2 ? {} : { failCgroupV1: false }),
    failSwapOn: false,
    enforceNodeAllocatable: [],
    // The machine's disk and memory are not the node's: nothing is evicted or collected on their account.
    evictionHard: { 'nodefs.available': '0%', 'nodefs.inodesFree': '0%', 'imagefs.available': '0%' },
    imageGCHighThresholdPercent: 100,
    volumeStatsAggPeriod: '-1s',
    maxPods,
    providerID: config.providerID,
    nodeStatusUpdateFrequency: statusUpdateFrequency,
    nodeStatusReportFrequency: '5m',
    resolvConf: config.resolvConf,
    clusterDNS: [config.dnsAddress],
    clusterDomain: 'cluster.local',
    // The default is a directory of the machine.
    volumePluginDir: config.volumePluginDir,
    // Chains in the machine's iptables, for a kube-proxy that is not there.
    makeIPTablesUtilChains: false,
  }
}
