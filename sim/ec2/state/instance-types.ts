// Limits of the instance types that the simulation knows, as DescribeInstanceTypes answers them (us-east-1, 2026).
// Chosen to differ in what matters to attaching: few and many slots, several cards, shared and dedicated budget.

export interface InstanceType {
  readonly vCpus: number
  readonly memoryMiB: number
  readonly architecture: 'x86_64' | 'arm64'
  /** Maximum interfaces of each network card; the sum is the type's limit. */
  readonly cards: readonly number[]
  /** Interfaces that a card takes beyond its maximum when ENA queues are spread by hand (not modelled, only shown). */
  readonly additionalFlexible?: number
  /** IPv4 addresses of one interface, and as many IPv6 ones. */
  readonly addressesPerInterface: number
  readonly enaExpress: boolean
  /** `shared`: interfaces and EBS volumes draw on one budget. */
  readonly attachmentLimitType: 'shared' | 'dedicated'
  readonly maximumEbsAttachments: number
}

const x86 = 'x86_64'
const shared27 = { attachmentLimitType: 'shared', maximumEbsAttachments: 27 } as const
const dedicated = (maximumEbsAttachments: number) =>
  ({ attachmentLimitType: 'dedicated', maximumEbsAttachments }) as const
const cards = (count: number, each: number): number[] => Array.from({ length: count }, () => each)

// oxfmt-ignore
export const instanceTypes: Readonly<Record<string, InstanceType>> = {
  't3.medium': { vCpus: 2, memoryMiB: 4096, architecture: x86, cards: [3], addressesPerInterface: 6, enaExpress: false, ...shared27 },
  'm5.large': { vCpus: 2, memoryMiB: 8192, architecture: x86, cards: [3], addressesPerInterface: 10, enaExpress: false, ...shared27 },
  'm5.xlarge': { vCpus: 4, memoryMiB: 16384, architecture: x86, cards: [4], addressesPerInterface: 15, enaExpress: false, ...shared27 },
  'm5.4xlarge': { vCpus: 16, memoryMiB: 65536, architecture: x86, cards: [8], addressesPerInterface: 30, enaExpress: false, ...shared27 },
  'm5.24xlarge': { vCpus: 96, memoryMiB: 393216, architecture: x86, cards: [15], addressesPerInterface: 50, enaExpress: false, ...shared27 },
  'c5n.18xlarge': { vCpus: 72, memoryMiB: 196608, architecture: x86, cards: [15], addressesPerInterface: 50, enaExpress: false, ...shared27 },
  'm7i.4xlarge': { vCpus: 16, memoryMiB: 65536, architecture: x86, cards: [8], addressesPerInterface: 30, enaExpress: false, ...dedicated(32) },
  'm8i.96xlarge': { vCpus: 384, memoryMiB: 1572864, architecture: x86, cards: [24], additionalFlexible: 0, addressesPerInterface: 64, enaExpress: true, ...dedicated(128) },
  'c7gn.16xlarge': { vCpus: 64, memoryMiB: 131072, architecture: 'arm64', cards: [15], addressesPerInterface: 50, enaExpress: true, ...shared27 },
  'c6in.32xlarge': { vCpus: 128, memoryMiB: 262144, architecture: x86, cards: cards(2, 8), additionalFlexible: 4, addressesPerInterface: 50, enaExpress: true, ...shared27 },
  'p4d.24xlarge': { vCpus: 96, memoryMiB: 1179648, architecture: x86, cards: cards(4, 15), addressesPerInterface: 50, enaExpress: false, ...dedicated(28) },
  'g6e.48xlarge': { vCpus: 192, memoryMiB: 1572864, architecture: x86, cards: cards(4, 10), addressesPerInterface: 50, enaExpress: true, ...dedicated(128) },
  'p5.48xlarge': { vCpus: 192, memoryMiB: 2097152, architecture: x86, cards: cards(32, 2), addressesPerInterface: 50, enaExpress: true, ...dedicated(64) },
}
