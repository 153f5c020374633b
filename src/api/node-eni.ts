// NodeENI: which ENIs may exist on which nodes. Accepts every manifest of the AWS Multi-ENI Controller unchanged.
// The zod schema is the only source: types, defaults and the CRD (crd.ts) come from it.
import { z } from 'zod'

import { conditionSchema, metadataSchema } from './object-meta.ts'

const subnetId = z
  .string()
  .regex(/^subnet-[0-9a-z]+$/)
  .max(64)
const securityGroupId = z
  .string()
  .regex(/^sg-[0-9a-z]+$/)
  .max(64)
const tagName = z.string().min(1).max(255)
const listMax = 16

/** A qualified extended-resource name, `prefix/name`; the API server allows no kubernetes.io prefix for these. */
export const resourceNamePattern =
  /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/

export const nodeENISpecSchema = z
  .object({
    nodeSelector: z.record(z.string().max(317), z.string().max(63)).meta({
      description: 'Labels that a node must have, all of them. An empty selector matches every node.',
    }),
    subnetID: subnetId.optional(),
    subnetIDs: z.array(subnetId).max(listMax).optional(),
    subnetName: tagName.optional().meta({ description: "Subnet by its Name tag, in the cluster's VPC." }),
    subnetNames: z.array(tagName).max(listMax).optional(),
    securityGroupIDs: z.array(securityGroupId).max(listMax).optional(),
    securityGroupNames: z.array(tagName).max(listMax).optional(),
    deviceIndex: z.int32().min(1).max(127).default(1).meta({
      description: 'First device index tried on the network card; the next free one is taken when it is in use.',
    }),
    deleteOnTermination: z.boolean().default(true),
    description: z.string().max(255).optional(),
    mtu: z
      .int32()
      .min(0)
      .max(9216)
      .optional()
      .meta({
        description: "MTU of a kernel-bound interface in bytes; 0 or unset keeps the driver's.",
        'x-kubernetes-validations': [
          { rule: 'self == 0 || self >= 576', message: 'mtu must be 0 or from 576 to 9216' },
        ],
      }),
    enableDPDK: z.boolean().default(false),
    dpdkDriver: z.enum(['vfio-pci', 'igb_uio']).default('vfio-pci'),
    dpdkPCIAddress: z
      .string()
      .regex(/^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/)
      .optional()
      .meta({ description: 'PCI address that the card must turn out to have; identity is the MAC.' }),
    dpdkResourceName: z
      .string()
      .regex(resourceNamePattern)
      .max(317)
      .optional()
      .meta({ description: 'Extended resource that pods ask for, such as intel.com/upf_dataplane.' }),
    attachPolicy: z.enum(['Eager', 'JustInTime']).optional().meta({
      description: 'JustInTime attaches when a pod needs it. Default: JustInTime with dpdkResourceName, else Eager.',
    }),
    maxPerNode: z.int32().min(1).max(128).optional(),
    warm: z.int32().min(0).max(128).default(0).meta({ description: 'Idle ENIs kept ready on each matching node.' }),
    releaseAfter: z
      .string()
      .regex(/^(0|([0-9]+(\.[0-9]+)?(ms|s|m|h))+)$/)
      .max(32)
      .default('10m')
      .meta({ description: 'How long an idle ENI is kept for the next pod, as a Go duration; 0s releases at once.' }),
    sourceDestCheck: z.boolean().default(true),
    tags: z
      .record(z.string().max(128), z.string().max(256))
      .optional()
      .meta({
        maxProperties: 40,
        'x-kubernetes-validations': [
          {
            rule: "self.all(k, !k.startsWith('aws:') && !k.startsWith('networking.k8s.aws/') && !k.startsWith('node.k8s.amazonaws.com/') && !k.startsWith('eks:'))",
            message: 'tags must not use the prefixes aws:, eks:, networking.k8s.aws/ or node.k8s.amazonaws.com/',
          },
        ],
      }),
    interfaceName: z
      .string()
      .regex(/^[A-Za-z0-9_.-]+$/)
      .min(1)
      .max(127)
      .optional()
      .meta({
        description:
          "Alternative name of a kernel-bound interface, good as master of a NetworkAttachmentDefinition. Default: the NodeENI's name. The second ENI on a node gets it with -2, and so on.",
        'x-kubernetes-validations': [
          {
            rule: "!self.matches('^([.]{1,2}|if[0-9]+)$')",
            message:
              'interfaceName must not be a dot, two dots, or if with a number, which stands for an interface index',
          },
        ],
      }),
    secondaryPrivateIPv4AddressCount: z.int32().min(0).max(49).default(0),
    ipv6AddressCount: z.int32().min(0).max(50).default(0),
  })
  .meta({
    'x-kubernetes-validations': [
      {
        rule: 'has(self.subnetID) || has(self.subnetName) || (has(self.subnetIDs) && size(self.subnetIDs) > 0) || (has(self.subnetNames) && size(self.subnetNames) > 0)',
        message: 'at least one subnet is needed: set subnetID, subnetIDs, subnetName or subnetNames',
      },
      {
        rule: '(has(self.securityGroupIDs) && size(self.securityGroupIDs) > 0) || (has(self.securityGroupNames) && size(self.securityGroupNames) > 0)',
        message: 'at least one security group is needed: set securityGroupIDs or securityGroupNames',
      },
      {
        rule: "!has(self.dpdkResourceName) || (!self.dpdkResourceName.matches('^([^/]*[.])?kubernetes[.]io/') && !self.dpdkResourceName.startsWith('requests.'))",
        message: 'dpdkResourceName must not use the prefix kubernetes.io or requests.',
      },
      {
        rule: 'has(self.dpdkResourceName) == has(oldSelf.dpdkResourceName) && (!has(self.dpdkResourceName) || self.dpdkResourceName == oldSelf.dpdkResourceName)',
        message: 'dpdkResourceName is immutable: create another NodeENI for another resource',
      },
      {
        rule: "!has(self.attachPolicy) || self.attachPolicy != 'JustInTime' || has(self.dpdkResourceName)",
        message:
          'attachPolicy JustInTime needs dpdkResourceName: only a pod that asks for a resource can cause an attach',
      },
    ],
  })

/** A subnet that the attacher found for this NodeENI; `exhausted`: it has too few free addresses for one ENI more. */
const usableSubnetSchema = z.object({
  subnetID: z.string(),
  availabilityZone: z.string(),
  cidr: z.string(),
  exhausted: z.boolean(),
})

export const nodeENIStatusSchema = z.object({
  observedGeneration: z.int32().min(0).optional(),
  conditions: z
    .array(conditionSchema)
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] }),
  attached: z.int32().min(0).optional(),
  ready: z.int32().min(0).optional(),
  inUse: z.int32().min(0).optional(),
  subnets: z.array(usableSubnetSchema).max(64).optional().meta({ 'x-kubernetes-list-type': 'atomic' }),
  attachments: z
    .array(
      z.object({
        nodeID: z.string().optional(),
        instanceID: z.string().optional(),
        eniID: z.string().optional(),
        attachmentID: z.string().optional(),
        subnetID: z.string().optional(),
        subnetCIDR: z.string().optional(),
        mtu: z.int32().optional(),
        deviceIndex: z.int32().optional(),
        status: z.string().optional(),
        lastUpdated: z.string().optional(),
        dpdkBound: z.boolean().optional(),
        dpdkDriver: z.string().optional(),
        dpdkResourceName: z.string().optional(),
        dpdkPCIAddress: z.string().optional(),
      }),
    )
    .optional()
    .meta({
      description: 'Written by the AWS Multi-ENI Controller; readable for migration, never written here.',
      'x-kubernetes-list-type': 'atomic',
    }),
})

export const nodeENISchema = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: metadataSchema,
  spec: nodeENISpecSchema,
  status: nodeENIStatusSchema.optional(),
})

export type NodeENI = z.output<typeof nodeENISchema>
export type NodeENISpec = NodeENI['spec']
export type NodeENIStatus = NonNullable<NodeENI['status']>

/** Eager or JustInTime, with the default that depends on dpdkResourceName. */
export function attachPolicyOf(spec: NodeENISpec): 'Eager' | 'JustInTime' {
  return spec.attachPolicy ?? (spec.dpdkResourceName === undefined ? 'Eager' : 'JustInTime')
}

/** Kernel driver that a card of this NodeENI must end up with: the DPDK driver, or undefined for the kernel's own. */
export function userspaceDriverOf(spec: NodeENISpec): 'vfio-pci' | 'igb_uio' | undefined {
  return spec.enableDPDK ? spec.dpdkDriver : undefined
}

export function selectsNode(spec: NodeENISpec, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(spec.nodeSelector).every(([key, value]) => labels[key] === value)
}

export function isReady(nodeENI: NodeENI): boolean {
  return nodeENI.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false
}
