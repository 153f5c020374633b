// The gateway of a subnet: the VPC router has the first address after the subnet's own (Amazon VPC User Guide, "Subnet CIDR
// blocks", reserved addresses). A DPDK pod cannot ask the kernel for it.
import { isIPv4 } from 'node:net'

const bitsOfAddress = 32

/** undefined for anything but an IPv4 CIDR. */
export function vpcRouterOf(cidr: string | undefined): string | undefined {
  const [address = '', length = ''] = cidr?.split('/') ?? []
  const prefix = Number(length)
  if (!isIPv4(address) || !/^\d{1,2}$/.test(length) || prefix > bitsOfAddress) return undefined
  const number = address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)
  const size = 2 ** (bitsOfAddress - prefix)
  const router = Math.floor(number / size) * size + 1
  return [24, 16, 8, 0].map((shift) => Math.floor(router / 2 ** shift) % 256).join('.')
}
