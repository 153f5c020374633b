// CreateTags and DeleteTags on any resource of the account.

import type { Ec2State } from './ec2-state.ts'
import { refusals } from './refusals.ts'

const maximumTagsPerResource = 50

export function createTags(state: Ec2State, resourceIds: readonly string[], tags: ReadonlyMap<string, string>): void {
  const targets = resourceIds.map((id) => tagsOf(state, id))
  for (const target of targets) checkTags(new Map([...target, ...tags]), tags)
  for (const target of targets) for (const [key, value] of tags) target.set(key, value)
  touched(state, resourceIds)
}

/** A tag without a value is deleted whatever its value is; with one, only if it is that. No tags at all: deletes all. */
export function deleteTags(
  state: Ec2State,
  resourceIds: readonly string[],
  tags: readonly { readonly key: string; readonly value: string | undefined }[],
): void {
  for (const target of resourceIds.map((id) => tagsOf(state, id))) {
    if (tags.length === 0) target.clear()
    for (const { key, value } of tags) if (value === undefined || target.get(key) === value) target.delete(key)
  }
  touched(state, resourceIds)
}

export function checkTags(all: ReadonlyMap<string, string>, added: ReadonlyMap<string, string> = all): void {
  if (all.size > maximumTagsPerResource) throw refusals.tooManyTags()
  for (const key of added.keys()) if (key.startsWith('aws:')) throw refusals.reservedTag()
}

function tagsOf(state: Ec2State, resourceId: string): Map<string, string> {
  const kind = resourceId.slice(0, resourceId.indexOf('-'))
  switch (kind) {
    case 'eni':
      return state.knownEni(resourceId).tags
    case 'i':
      return state.instance(resourceId).tags
    case 'subnet':
      return state.subnet(resourceId).tags
    case 'sg':
      return state.group(resourceId).tags
    default:
      throw refusals.resourceNotFound(resourceId)
  }
}

function touched(state: Ec2State, resourceIds: readonly string[]): void {
  for (const eni of resourceIds.map((id) => state.findEni(id))) if (eni !== undefined) state.touched(eni)
  state.changed()
}
