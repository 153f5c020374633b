// DescribeInstanceTypes: what of it bears on interfaces and on the attachment budget.

import { type InstanceType, instanceTypes } from '../state/instance-types.ts'
import { refusals } from '../state/refusals.ts'

import { type Action, action } from './action.ts'
import { type FilterTable, filtered, readFilters } from './filters.ts'
import { page, readPage } from './page.ts'
import type { XmlElements } from './xml.ts'

const pageLimits = { least: 5, most: 100 }
const defaultPageSize = 100

interface NamedType {
  readonly serial: number
  readonly name: string
  readonly type: InstanceType
  readonly tags: ReadonlyMap<string, string>
}

const knownTypes: readonly NamedType[] = Object.entries(instanceTypes).map(([name, type], at) => ({
  serial: at + 1,
  name,
  type,
  tags: new Map(),
}))

export const instanceTypeFilters: FilterTable<NamedType> = {
  'instance-type': ({ name }) => [name],
  'processor-info.supported-architecture': ({ type }) => [type.architecture],
  'network-info.maximum-network-interfaces': ({ type }) => [slotsOf(type)],
}

export const describeInstanceTypes: Action = action(
  (parameters) => {
    const names = parameters.at('InstanceType').texts()
    return { names, filters: readFilters(parameters), pages: readPage(parameters, pageLimits) }
  },
  (_state, { names, filters, pages }) => {
    const unknown = names.filter((name) => !Object.hasOwn(instanceTypes, name))
    if (unknown.length > 0) throw refusals.instanceTypeNotFound(unknown)
    const named = knownTypes.filter(({ name }) => names.length === 0 || names.includes(name))
    const { items, nextToken } = page(filtered(named, filters, instanceTypeFilters), pages, defaultPageSize)
    return { instanceTypeSet: items.map(typeElement), nextToken }
  },
)

function slotsOf(type: InstanceType): number {
  return type.cards.reduce((sum, each) => sum + each, 0)
}

function typeElement({ name, type }: NamedType): XmlElements {
  return {
    instanceType: name,
    currentGeneration: true,
    hypervisor: 'nitro',
    bareMetal: false,
    vCpuInfo: { defaultVCpus: type.vCpus },
    memoryInfo: { sizeInMiB: type.memoryMiB },
    processorInfo: { supportedArchitectures: [type.architecture] },
    ebsInfo: {
      ebsOptimizedSupport: 'default',
      nvmeSupport: 'required',
      attachmentLimitType: type.attachmentLimitType,
      maximumEbsAttachments: type.maximumEbsAttachments,
    },
    networkInfo: {
      maximumNetworkInterfaces: slotsOf(type),
      maximumNetworkCards: type.cards.length,
      defaultNetworkCardIndex: 0,
      networkCards: type.cards.map((maximumNetworkInterfaces, networkCardIndex) => ({
        networkCardIndex,
        maximumNetworkInterfaces,
        additionalFlexibleNetworkInterfaces: type.additionalFlexible,
      })),
      ipv4AddressesPerInterface: type.ipv4AddressesPerInterface,
      ipv6AddressesPerInterface: type.ipv6AddressesPerInterface,
      ipv6Supported: type.ipv6AddressesPerInterface > 0,
      enaSupport: 'required',
      enaSrdSupported: type.enaExpress,
    },
  }
}
