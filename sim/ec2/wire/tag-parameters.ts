// Tags on the wire: Tag.N.Key and Tag.N.Value, TagSpecification.N of a create call, and tagSet in answers.

import { refusals } from '../state/refusals.ts'

import type { Parameter } from './parameter.ts'
import type { XmlValue } from './xml.ts'

export function readTags(parameters: Parameter): { key: string; value: string | undefined }[] {
  return parameters
    .at('Tag')
    .items()
    .map((tag) => ({ key: tag.at('Key').requiredText(), value: tag.at('Value').text() }))
}

/** A tag without a value has the empty one. */
export function readTagMap(parameters: Parameter): Map<string, string> {
  return new Map(readTags(parameters).map(({ key, value }) => [key, value ?? '']))
}

export function readTagSpecifications(parameters: Parameter, resourceType: string): Map<string, string> {
  const tags = new Map<string, string>()
  for (const specification of parameters.at('TagSpecification').items()) {
    const type = specification.at('ResourceType').requiredText()
    if (type !== resourceType) throw refusals.notTaggable(type)
    for (const [key, value] of readTagMap(specification)) tags.set(key, value)
  }
  return tags
}

export function tagSet(tags: ReadonlyMap<string, string>): XmlValue {
  return [...tags].map(([key, value]) => ({ key, value }))
}
