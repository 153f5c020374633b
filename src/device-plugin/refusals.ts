// Why a card must not be taken from whoever has it: the node itself, somebody else in its IOMMU group, or a process that has it
// open. What is refused here is left untouched and asked again at each pass.
import type { KnownCard } from './match.ts'
import type { Situation } from './plan.ts'
import type { StepFailure } from './step.ts'

export function refusalToTake(situation: Situation, card: KnownCard): StepFailure | undefined {
  const inUse = useByHost(situation, card)
  if (inUse !== undefined) return passing('InterfaceInUse', inUse)
  return refusalOfGroup(situation, card) ?? refusalOfOpenCard(card)
}

/** The card by which the node itself is reached, whatever it is to be. */
export function refusalOfPrimary({ attachment, primary }: Situation, card: KnownCard): StepFailure | undefined {
  if (card.interfaces.length === 0) return undefined
  if (card.interfaces.some(({ mac }) => mac === primary.mac)) {
    return passing(
      'InterfaceInUse',
      `${card.pciAddress} is the primary card by the instance metadata (${primary.mac}); it is left alone`,
    )
  }
  const address = attachment.status?.eni?.addresses?.find((own) => primary.addresses.includes(own))
  if (address === undefined) return undefined
  return passing(
    'InterfaceInUse',
    `${card.pciAddress} has ${address}, by which the node is reached (InternalIP); it is left alone`,
  )
}

/** Who opens an IOMMU group has all its functions, and nobody can open one of which the kernel uses a function. */
export function refusalOfGroup({ foreignMates }: Situation, card: KnownCard): StepFailure | undefined {
  const [mate] = foreignMates
  if (mate === undefined) return undefined
  return passing(
    'GroupInUse',
    `${card.pciAddress} shares IOMMU group ${card.iommuGroup?.number} with ${mate.pciAddress}, which is in use by ${mate.driver}; both are left alone`,
  )
}

/** Two pods with one group each could reach the ENI of the other, and only the first could open it (vfio_group_fops_open). */
export function refusalBesideOurOwn({ groupSpokenFor }: Situation, card: KnownCard): StepFailure | undefined {
  if (groupSpokenFor === undefined) return undefined
  return passing(
    'GroupInUse',
    `${card.pciAddress} shares IOMMU group ${card.iommuGroup?.number} with ${groupSpokenFor}, which is offered to pods; whoever opens the group has both, so only one of them is offered`,
  )
}

/** An unbind would not return before that process ends, and nobody else can open the card. */
export function refusalOfOpenCard({ isOpen, pciAddress }: KnownCard): StepFailure | undefined {
  return isOpen ? cardInUse(pciAddress, 'its enable count is not 0') : undefined
}

export function cardInUse(pciAddress: string, sign: string): StepFailure {
  return passing(
    'CardInUse',
    `a process has ${pciAddress} open (${sign}); it keeps its driver, and no other pod gets it, until that process closes it`,
  )
}

/** What the node itself uses of the card, in one line. */
function useByHost({ attachment, host }: Situation, card: KnownCard): string | undefined {
  const used = card.interfaces.find(({ name }) => host.used.has(name))
  if (used !== undefined) {
    return `interface ${used.name} of ${card.pciAddress} has a route or an IPv6 address of the node itself; it is left alone`
  }
  const enslaved = card.interfaces.find(({ master }) => master !== undefined)
  if (enslaved !== undefined) {
    return `interface ${enslaved.name} of ${card.pciAddress} belongs to ${enslaved.master}; it is left alone`
  }
  // With routes in another table than the main one (policy routing) an address of the ENI is all that shows.
  const address = attachment.status?.eni?.addresses?.find((own) => host.addresses.has(own))
  if (address === undefined || card.interfaces.length === 0) return undefined
  return `the node itself has address ${address} of ${card.pciAddress}; it is left alone`
}

function passing(reason: StepFailure['reason'], message: string): StepFailure {
  return { reason, message, terminal: false }
}
