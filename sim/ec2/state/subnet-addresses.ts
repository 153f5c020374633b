// The IPv4 addresses of one subnet: which are taken and how many are free.
// EC2 keeps the first four and the last for itself (VPC user guide, "Subnet CIDR blocks").

const reservedAtStart = 4
const reservedAtEnd = 1

export class SubnetAddresses {
  readonly #base: number
  readonly #size: number
  readonly #taken = new Set<number>()
  #next = reservedAtStart

  constructor(cidrBlock: string) {
    const [address = '', prefixLength = ''] = cidrBlock.split('/')
    this.#size = 2 ** (32 - Number(prefixLength))
    this.#base = toNumber(address)
    if (!(this.#size >= 16 && this.#size <= 65536)) throw new RangeError(`a subnet is a /16 to /28, not ${cidrBlock}`)
  }

  get free(): number {
    return this.#size - reservedAtStart - reservedAtEnd - this.#taken.size
  }

  /** Takes that many addresses, or none at all and returns undefined. */
  take(count: number): string[] | undefined {
    if (count > this.free) return undefined
    return Array.from({ length: count }, () => this.#takeNext())
  }

  takeExactly(address: string): 'taken' | 'in-use' | 'outside' {
    const offset = toNumber(address) - this.#base
    if (!(offset >= reservedAtStart && offset < this.#size - reservedAtEnd)) return 'outside'
    if (this.#taken.has(offset)) return 'in-use'
    this.#taken.add(offset)
    return 'taken'
  }

  release(addresses: readonly string[]): void {
    for (const address of addresses) this.#taken.delete(toNumber(address) - this.#base)
  }

  /** Goes round the subnet, so that an address just released is the last to come again. */
  #takeNext(): string {
    while (this.#taken.has(this.#next)) this.#advance()
    const offset = this.#next
    this.#taken.add(offset)
    this.#advance()
    return toText(this.#base + offset)
  }

  #advance(): void {
    this.#next = this.#next + 1 < this.#size - reservedAtEnd ? this.#next + 1 : reservedAtStart
  }
}

function toNumber(address: string): number {
  return address.split('.').reduce((number, octet) => number * 256 + Number(octet), 0)
}

function toText(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.')
}
