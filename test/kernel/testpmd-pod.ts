// A pod that moves packets with DPDK: dpdk-testpmd, which forwards what one of its ENIs receives through the other, or through the same
// one when it has only that.
import { testpmdImage } from '../../sim/cluster/image/testpmd-image.ts'
import { upfPod, dataplane } from '../cluster/upf-manifests.ts'

/** Memory in huge pages, through the kubelet. */
const hugepages = '256Mi'

/** Each device that the device plugin names is one that testpmd may take. Counters on standard output each second. */
const start = `allow=$(echo "$PCIDEVICE_INTEL_COM_UPF_DATAPLANE" | tr , '\\n' | sed 's/^/-a /')
exec dpdk-testpmd -l 0-1 -m 128 $allow -- --forward-mode=io --total-num-mbufs=4096 --no-lsc-interrupt --auto-start --stats-period 1`

export interface TestpmdPod {
  readonly enis: 1 | 2
  /** All others are dropped. With an IOMMU, locked memory is all that DPDK needs. */
  readonly capabilities?: readonly string[]
  readonly nodeName?: string
  /** How much of a processor it may poll with; unless said otherwise half of one: the emulated machine has two. */
  readonly cpu?: string
}

/** In namespace default. */
export function testpmdPod(
  name: string,
  { enis, capabilities = ['IPC_LOCK'], nodeName, cpu = '500m' }: TestpmdPod,
): object {
  const container = {
    name: 'testpmd',
    image: testpmdImage,
    imagePullPolicy: 'Never',
    command: ['/bin/sh', '-c', start],
    resources: { limits: { [dataplane]: String(enis), 'hugepages-2Mi': hugepages, memory: '128Mi', cpu } },
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'], add: [...capabilities] } },
    volumeMounts: [{ name: 'hugepages', mountPath: '/dev/hugepages' }],
  }
  return upfPod(name, enis, {
    automountServiceAccountToken: false,
    containers: [container],
    volumes: [{ name: 'hugepages', emptyDir: { medium: 'HugePages-2Mi' } }],
    ...(nodeName !== undefined && { nodeSelector: { 'kubernetes.io/hostname': nodeName } }),
  })
}
