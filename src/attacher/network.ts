// The subnets and security groups that a NodeENI names, looked up in EC2 inside the cluster's VPC, and remembered for a while.
import type { NodeENI, NodeENISpec } from '../api/node-eni.ts'
import type { Clock } from '../process/clock.ts'
import type { Ec2, Ec2ByUrgency, Subnet } from './ec2.ts'

/** How long an answer is good while nobody needs an ENI: free addresses and names change, but nobody waits for that. */
const restingMs = 10 * 60_000
/** And when an ENI is to be made with it, or while it keeps pods away because a subnet is exhausted. */
const freshMs = 60_000
/** What is wrong is looked at again after this time, then ever more rarely; another NodeENI spec is another question. */
const firstProblemMs = 10_000
const lastProblemMs = 5 * 60_000
/** EC2's count of free addresses may be so far behind. */
const countLagMs = 5_000
/** EC2 has just refused the subnet; it is left alone for so long. */
const exhaustedMs = 90_000

export interface Network {
  /** In the order in which the NodeENI names them. */
  readonly subnets: readonly Subnet[]
  readonly securityGroupIDs: readonly string[]
}

/** What is wrong with the NodeENI, for its condition. */
export interface NetworkProblem {
  readonly reason: 'SubnetNotFound' | 'SecurityGroupNotFound' | 'AmbiguousName'
  readonly message: string
}

interface Answer {
  readonly answer: Network | NetworkProblem
  readonly askedAtMs: number
  /** How many times in a row something was wrong. */
  readonly problems: number
}

/** Addresses that we are about to take, or have just taken. */
interface Debit {
  readonly subnetID: string
  readonly addresses: number
  /** When EC2 took them: Infinity before that, -Infinity when it never will. */
  readonly takenAtMs: () => number
}

export type Need = 'making an ENI' | 'resting'

export class Networks {
  readonly #ec2: Ec2ByUrgency
  readonly #clock: Clock
  readonly #answers = new Map<string, Answer>()
  readonly #asking = new Map<string, Promise<Network | NetworkProblem>>()
  readonly #exhaustedUntil = new Map<string, number>()
  /** By subnet, what EC2 said last: NodeENIs that share one are not asked for at the same time. */
  readonly #counts = new Map<string, { readonly free: number; readonly askedAtMs: number }>()
  /** By plan. */
  readonly #debits = new Map<unknown, Debit>()

  constructor(ec2: Ec2ByUrgency, clock: Clock) {
    this.#ec2 = ec2
    this.#clock = clock
  }

  /** Who asks while the same is being asked gets the same answer. @throws Ec2Error */
  async find(spec: NodeENISpec, vpcID: string, need: Need): Promise<Network | NetworkProblem> {
    const wanted = wantedOf(spec)
    const key = JSON.stringify([wanted, vpcID])
    const known = this.#answers.get(key)
    if (known !== undefined && this.#isGood(known, spec, need)) return known.answer
    const asking = this.#asking.get(key) ?? this.#askOnce(key, wanted, vpcID, need)
    this.#asking.set(key, asking)
    return asking
  }

  #isGood({ answer, problems, askedAtMs }: Answer, spec: NodeENISpec, need: Need): boolean {
    const ageMs = this.#clock.monotonic() - askedAtMs
    if ('reason' in answer) return ageMs < Math.min(firstProblemMs * 2 ** (problems - 1), lastProblemMs)
    if (ageMs < freshMs) return true
    const isExhausted = () => answer.subnets.some((subnet) => this.isExhausted(subnet, addressesOf({ spec })))
    return need === 'resting' && ageMs < restingMs && !isExhausted()
  }

  async #askOnce(key: string, wanted: Wanted, vpcID: string, need: Need): Promise<Network | NetworkProblem> {
    const askedAtMs = this.#clock.monotonic()
    try {
      const answer = await this.#ask(this.#ec2(need === 'resting' ? 'ahead' : 'pods'), wanted, vpcID)
      const problems = 'reason' in answer ? (this.#answers.get(key)?.problems ?? 0) + 1 : 0
      this.#answers.set(key, { answer, problems, askedAtMs })
      if (!('reason' in answer)) this.#count(answer.subnets, askedAtMs)
      return answer
    } finally {
      this.#asking.delete(key)
    }
  }

  /** What EC2 counts itself need not be debited any more. */
  #count(subnets: readonly Subnet[], askedAtMs: number): void {
    const newest = subnets.filter(({ id }) => askedAtMs >= (this.#counts.get(id)?.askedAtMs ?? -Infinity))
    for (const { id, freeAddresses } of newest) this.#counts.set(id, { free: freeAddresses, askedAtMs })
    const counted = new Set(newest.map(({ id }) => id))
    const countedAtMs = this.#clock.now() - (this.#clock.monotonic() - askedAtMs)
    for (const [plan, { subnetID, takenAtMs }] of this.#debits) {
      // No answer that is still good is older than that.
      const stillMs = counted.has(subnetID) ? countLagMs : restingMs
      if (takenAtMs() <= countedAtMs - stillMs) this.#debits.delete(plan)
    }
  }

  async #ask(ec2: Ec2, wanted: Wanted, vpcID: string): Promise<Network | NetworkProblem> {
    // At the same time: pods wait for both.
    const [subnets, securityGroupIDs] = await Promise.all([
      this.#findSubnets(ec2, wanted, vpcID),
      this.#findSecurityGroups(ec2, wanted, vpcID),
    ])
    if ('reason' in subnets) return subnets
    return 'reason' in securityGroupIDs ? securityGroupIDs : { subnets, securityGroupIDs }
  }

  markExhausted(subnetID: string): void {
    this.#exhaustedUntil.set(subnetID, this.#clock.monotonic() + exhaustedMs)
  }

  /** For one more ENI that takes so many addresses. */
  isExhausted(subnet: Subnet, addresses: number): boolean {
    return (
      this.freeAddresses(subnet) < addresses || (this.#exhaustedUntil.get(subnet.id) ?? 0) > this.#clock.monotonic()
    )
  }

  /**
   * An ENI with so many IPv4 addresses is planned; `takenAtMs` says later when EC2 has made it, which is now unless given. The same
   * `plan` once more, as after a write of it that failed, takes the place of the first.
   */
  debit(subnetID: string, addresses: number, takenAtMs?: () => number, plan: unknown = {}): void {
    const now = this.#clock.now()
    this.#debits.set(plan, { subnetID, addresses, takenAtMs: takenAtMs ?? (() => now) })
  }

  /** What EC2 said, less what we have planned since. */
  freeAddresses({ id, freeAddresses }: Subnet): number {
    const planned = [...this.#debits.values()]
      .filter(({ subnetID, takenAtMs }) => subnetID === id && takenAtMs() !== -Infinity)
      .reduce((sum, { addresses }) => sum + addresses, 0)
    return (this.#counts.get(id)?.free ?? freeAddresses) - planned
  }

  /** EC2 knows better than what was remembered. */
  forget(): void {
    this.#answers.clear()
  }

  async #findSubnets(ec2: Ec2, wanted: Wanted, vpcID: string): Promise<Subnet[] | NetworkProblem> {
    const found: Subnet[] = []
    if (wanted.subnetIDs.length > 0) {
      const byID = new Map((await ec2.describeSubnets({ ids: wanted.subnetIDs })).map((s) => [s.id, s]))
      for (const id of wanted.subnetIDs) {
        const subnet = byID.get(id)
        if (subnet === undefined) return subnetProblem(`subnet ${id} does not exist in this account and region`)
        if (subnet.vpcID !== vpcID)
          return subnetProblem(`subnet ${id} is in ${subnet.vpcID}, the nodes are in ${vpcID}`)
        found.push(subnet)
      }
    }
    for (const nameTag of wanted.subnetNames) {
      const named = await ec2.describeSubnets({ nameTag, vpcID })
      const [subnet, second] = named
      if (subnet === undefined) return subnetProblem(`no subnet in ${vpcID} has the Name tag ${nameTag}`)
      if (second !== undefined)
        return ambiguous(
          'subnets',
          nameTag,
          named.map(({ id }) => id),
          vpcID,
        )
      found.push(subnet)
    }
    return found
  }

  async #findSecurityGroups(ec2: Ec2, wanted: Wanted, vpcID: string): Promise<string[] | NetworkProblem> {
    const ids = [...wanted.securityGroupIDs]
    if (ids.length > 0) {
      const byID = new Map((await ec2.describeSecurityGroups({ ids })).map((group) => [group.id, group]))
      for (const id of ids) {
        const group = byID.get(id)
        if (group === undefined) return groupProblem(`security group ${id} does not exist in this account and region`)
        if (group.vpcID !== vpcID)
          return groupProblem(`security group ${id} is in ${group.vpcID}, the nodes are in ${vpcID}`)
      }
    }
    for (const name of wanted.securityGroupNames) {
      const [byName, byTag] = await Promise.all([
        ec2.describeSecurityGroups({ name, vpcID }),
        ec2.describeSecurityGroups({ nameTag: name, vpcID }),
      ])
      const named = [...new Map([...byName, ...byTag].map((group) => [group.id, group])).values()]
      const [group, second] = named
      if (group === undefined)
        return groupProblem(`no security group in ${vpcID} has the name ${name}, nor that Name tag`)
      if (second !== undefined)
        return ambiguous(
          'security groups',
          name,
          named.map(({ id }) => id),
          vpcID,
        )
      ids.push(group.id)
    }
    return [...new Set(ids)]
  }
}

/** IPv4 addresses that each ENI of it takes. */
export function addressesOf({ spec }: Pick<NodeENI, 'spec'>): number {
  return 1 + spec.secondaryPrivateIPv4AddressCount
}

interface Wanted {
  readonly subnetIDs: readonly string[]
  readonly subnetNames: readonly string[]
  readonly securityGroupIDs: readonly string[]
  readonly securityGroupNames: readonly string[]
}

function wantedOf(spec: NodeENISpec): Wanted {
  const both = (one: string | undefined, many: readonly string[] | undefined) => [
    ...new Set([...(one === undefined ? [] : [one]), ...(many ?? [])]),
  ]
  return {
    subnetIDs: both(spec.subnetID, spec.subnetIDs),
    subnetNames: both(spec.subnetName, spec.subnetNames),
    securityGroupIDs: both(undefined, spec.securityGroupIDs),
    securityGroupNames: both(undefined, spec.securityGroupNames),
  }
}

function subnetProblem(message: string): NetworkProblem {
  return { reason: 'SubnetNotFound', message }
}

function groupProblem(message: string): NetworkProblem {
  return { reason: 'SecurityGroupNotFound', message }
}

function ambiguous(what: string, name: string, ids: readonly string[], vpcID: string): NetworkProblem {
  return {
    reason: 'AmbiguousName',
    message: `several ${what} in ${vpcID} are named ${name}: ${ids.join(', ')}; use the id`,
  }
}
