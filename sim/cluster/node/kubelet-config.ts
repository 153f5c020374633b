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
  readonly statusUpdateFrequencyMs: number
}

export const kubeletPort = 10250
/** No more pods than the node's subnet has addresses. */
const maxPods = 110

export function kubeletConfig(config: KubeletConfig): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: config.address,
    port: kubeletPort,
    // The status server on a port of its own; /healthz is on the main port as well.
    healthzPort: 0,
    // Its address is on the loopback interface: only this machine and its pods can ask.
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
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
    nodeStatusUpdateFrequency: `${config.statusUpdateFrequencyMs}ms`,
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
