// Limits of every instance type, as DescribeInstanceTypes answers them: one type a line in instance-types.jsonl.
// Taken from moto 5.2.5 (PyPI, October 2026, Apache-2.0) by take-instance-types.ts, which says how to renew them.

import { readFileSync } from 'node:fs'

export interface InstanceType {
  readonly vCpus: number
  readonly memoryMiB: number
  readonly architecture: string
  /** Maximum interfaces of each network card; the sum is the type's limit. */
  readonly cards: readonly number[]
  /**
   * Interfaces that a card takes beyond its maximum, but only when its ENA queues are spread by hand (EnaQueueCount of the attach
   * call). That is not modelled, so the maximum holds here; the number is only shown.
   */
  readonly additionalFlexible?: number
  readonly ipv4AddressesPerInterface: number
  readonly ipv6AddressesPerInterface: number
  readonly enaExpress: boolean
  /** `shared`: interfaces, EBS volumes and local NVMe volumes draw on one budget. */
  readonly attachmentLimitType: 'shared' | 'dedicated'
  /** Of shared types less their local NVMe volumes already: m5.24xlarge has 27, m5d.24xlarge with four of them 23. */
  readonly maximumEbsAttachments: number
}

type Line = InstanceType & { readonly name: string }

const lines = readFileSync(new URL('instance-types.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')

export const instanceTypes: Readonly<Record<string, InstanceType>> = Object.fromEntries(
  lines.map((line) => {
    const { name, ...limits } = JSON.parse(line) as Line
    return [name, limits]
  }),
)
