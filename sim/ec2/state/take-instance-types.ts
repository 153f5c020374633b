// Makes instance-types.jsonl from the answers of DescribeInstanceTypes that the moto project collects every month (Apache-2.0).
// To renew: pip download --no-deps moto && unzip moto-*.whl moto/ec2/resources/instance_types.json.gz
//           node sim/ec2/state/take-instance-types.ts moto/ec2/resources/instance_types.json.gz sim/ec2/state/instance-types.jsonl
// and write moto's version into the header of instance-types.ts.

import { readFileSync, writeFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

import type { InstanceType } from './instance-types.ts'

interface Described {
  readonly VCpuInfo: { readonly DefaultVCpus: number }
  readonly MemoryInfo: { readonly SizeInMiB: number }
  readonly ProcessorInfo: { readonly SupportedArchitectures: readonly string[] }
  readonly NetworkInfo: {
    readonly NetworkCards: readonly {
      readonly MaximumNetworkInterfaces: number
      readonly AdditionalFlexibleNetworkInterfaces?: number
    }[]
    readonly Ipv4AddressesPerInterface: number
    readonly Ipv6AddressesPerInterface: number
    readonly EnaSrdSupported: boolean
  }
  readonly EbsInfo: {
    readonly AttachmentLimitType: 'shared' | 'dedicated'
    readonly MaximumEbsAttachments: number
  }
}

const [, , source, target] = process.argv
if (source === undefined || target === undefined) {
  process.stderr.write(
    'usage: node sim/ec2/state/take-instance-types.ts <instance_types.json.gz> <instance-types.jsonl>\n',
  )
  process.exit(2)
}

const described = JSON.parse(gunzipSync(readFileSync(source)).toString()) as Record<string, Described>
const lines = Object.entries(described)
  .toSorted(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, type]) => JSON.stringify({ name, ...limitsOf(name, type) }))
writeFileSync(target, `${lines.join('\n')}\n`)

function limitsOf(
  name: string,
  { VCpuInfo, MemoryInfo, ProcessorInfo, NetworkInfo, EbsInfo }: Described,
): InstanceType {
  const cards = NetworkInfo.NetworkCards
  const flexible = new Set(cards.map((card) => card.AdditionalFlexibleNetworkInterfaces))
  if (flexible.size > 1) throw new Error(`the cards of ${name} differ in their flexible interfaces`)
  const [additionalFlexible] = flexible
  return {
    vCpus: VCpuInfo.DefaultVCpus,
    memoryMiB: MemoryInfo.SizeInMiB,
    // The few types that also run i386 name it first.
    architecture: ProcessorInfo.SupportedArchitectures.at(-1) ?? '',
    cards: cards.map((card) => card.MaximumNetworkInterfaces),
    ...(additionalFlexible !== undefined && { additionalFlexible }),
    ipv4AddressesPerInterface: NetworkInfo.Ipv4AddressesPerInterface,
    ipv6AddressesPerInterface: NetworkInfo.Ipv6AddressesPerInterface,
    enaExpress: NetworkInfo.EnaSrdSupported,
    attachmentLimitType: EbsInfo.AttachmentLimitType,
    maximumEbsAttachments: EbsInfo.MaximumEbsAttachments,
  }
}
