// What `make bench-ec2` measures, the longest first: each in a process of its own.
import { type BurstResult, type BurstScenario, measureBurst } from './burst.ts'
import { type HundredNodesResult, measureHundredNodes } from './hundred-nodes.ts'

const sizes = [1000, 500, 200, 100, 50]

export type Scenario = ({ readonly kind: 'burst' } & BurstScenario) | { readonly kind: 'hundred-nodes' }
export type Result =
  | ({ readonly kind: 'burst' } & BurstResult)
  | ({ readonly kind: 'hundred-nodes' } & HundredNodesResult)

export const scenarios: readonly Scenario[] = [
  ...sizes.map((pods) => ({
    kind: 'burst' as const,
    pods,
    sourceDestCheck: true,
    thenIdle: pods === Math.max(...sizes),
  })),
  { kind: 'burst', pods: 200, sourceDestCheck: false, thenIdle: false },
  { kind: 'hundred-nodes' },
]

export async function measure(scenario: Scenario): Promise<Result> {
  switch (scenario.kind) {
    case 'burst':
      return { kind: 'burst', ...(await measureBurst(scenario)) }
    case 'hundred-nodes':
      return { kind: 'hundred-nodes', ...(await measureHundredNodes()) }
  }
}
