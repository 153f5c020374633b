// CreateTags and DeleteTags.

import { createTags, deleteTags } from '../state/tags.ts'
import { refusals } from '../state/refusals.ts'

import { type Action, action } from './action.ts'
import type { Parameter } from './parameter.ts'
import { readTagMap, readTags } from './tag-parameters.ts'

export const tagActions = {
  CreateTags: action(
    (parameters) => ({ resourceIds: readResourceIds(parameters), tags: readTagMap(parameters) }),
    (state, { resourceIds, tags }) => {
      if (tags.size === 0) throw refusals.missing('Tag')
      createTags(state, resourceIds, tags)
      return { return: true }
    },
  ),

  DeleteTags: action(
    (parameters) => ({ resourceIds: readResourceIds(parameters), tags: readTags(parameters) }),
    (state, { resourceIds, tags }) => {
      deleteTags(state, resourceIds, tags)
      return { return: true }
    },
  ),
} satisfies Readonly<Record<string, Action>>

function readResourceIds(parameters: Parameter): string[] {
  const ids = parameters.at('ResourceId').texts()
  if (ids.length === 0) throw refusals.missing('ResourceId')
  return ids
}
