// What our programs rely on in a Kubernetes API server, row by row. A row knows the server only as a KubeClient: the doubles are held
// to the table in test/kube, the real API server in test/cluster, and where they differ it is the double that is wrong.
import { test } from 'node:test'

import { apply } from './behaviour/apply.ts'
import { Bench, type ServerUnderTest } from './behaviour/bench.ts'
import { deletion } from './behaviour/deletion.ts'
import { lists } from './behaviour/lists.ts'
import { patches } from './behaviour/patches.ts'
import { podsAndEvents } from './behaviour/pods-and-events.ts'
import { validation } from './behaviour/validation.ts'
import { versions } from './behaviour/versions.ts'
import { watches } from './behaviour/watches.ts'

const behaviours = [
  ...versions,
  ...deletion,
  ...patches,
  ...apply,
  ...validation,
  ...lists,
  ...watches,
  ...podsAndEvents,
]

/** One test for each row; all of them share the server. */
export function testBehaviour(server: () => ServerUnderTest): void {
  for (const [row, { name, holds }] of behaviours.entries()) test(name, () => holds(new Bench(server(), row)))
}
