// The CNI configuration of one node: a veth pair per pod, addresses from the node's own subnet.
export interface PodNetwork {
  readonly name: string
  readonly subnet: string
  /** Where host-local keeps its leases; its default is one directory for the whole machine. */
  readonly leaseDir: string
}

/**
 * A pod reaches this machine, and with it the API server. Pods do not reach each other or the internet:
 * that would need IP forwarding, which is the machine owner's to switch on.
 */
export function podNetworkConfig({ name, subnet, leaseDir }: PodNetwork): object {
  return {
    cniVersion: '1.0.0',
    name,
    plugins: [
      {
        type: 'ptp',
        ipam: {
          type: 'host-local',
          dataDir: leaseDir,
          ranges: [[{ subnet }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
      { type: 'loopback' },
    ],
  }
}
