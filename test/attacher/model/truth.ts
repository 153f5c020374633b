// What EC2 says when nobody is in its way, in the attacher's own words: to compare with what the attacher has made of it.
import { inProcess } from '../../../sim/ec2/in-process.ts'
import type { Eni, Subnet } from '../../../src/attacher/ec2.ts'
import { Inventory } from '../../../src/attacher/inventory.ts'
import type { SlotPolicy } from '../../../src/attacher/slot-map.ts'
import { type NodeFacts, parseNode } from '../../../src/kube/objects.ts'
import { ec2Client } from '../ec2-access.ts'
import type { Trial } from './trial.ts'

/** Longer than EC2 takes on a bad day. */
const answersMs = 60_000

export interface Truth {
  readonly nodes: readonly NodeFacts[]
  readonly inventory: Inventory
  readonly subnets: readonly Subnet[]
  /** Ours, by id. */
  readonly enis: ReadonlyMap<string, Eni>
  readonly policy: SlotPolicy
}

export async function truthOf({ lab, record, policy }: Trial): Promise<Truth> {
  const ec2 = ec2Client({ clock: lab.clock, client: inProcess(lab.ec2) })
  const inventory = new Inventory({ ec2: () => ec2, policy, clock: lab.clock })
  const nodes = lab.api.store('nodes').list().map(parseNode)
  const answers = Promise.all([
    ec2.describeSubnets({ ids: lab.ec2.state.subnets().map(({ subnetId }) => subnetId) }),
    ec2.describeEnis(record.present().map(({ made }) => made.eniID)),
    inventory.refresh(nodes.flatMap(({ instanceID }) => instanceID ?? [])),
  ])
  await lab.clock.advance(answersMs)
  const [subnets, enis] = await answers
  return { nodes, inventory, subnets, enis: new Map(enis.map((eni) => [eni.id, eni])), policy }
}
