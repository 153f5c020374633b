// The ids form of a Describe action: all of them, or an error that names those that are not there.

import type { Ec2Error } from '../state/ec2-error.ts'
import { type ResourceKind, wellFormed } from '../state/resource-id.ts'

export function withIds<Item>(
  all: readonly Item[],
  ids: readonly string[],
  kind: ResourceKind,
  idOf: (item: Item) => string,
  notFound: (...missing: string[]) => Ec2Error,
): readonly Item[] {
  if (ids.length === 0) return all
  const wanted = new Set(ids.map((id) => wellFormed(kind, id)))
  const found = all.filter((item) => wanted.has(idOf(item)))
  for (const item of found) wanted.delete(idOf(item))
  if (wanted.size > 0) throw notFound(...wanted)
  return found
}
