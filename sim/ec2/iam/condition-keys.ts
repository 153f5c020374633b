// The condition keys that EC2 knows for the actions simulated here, and what a request says under them.
// Source: Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2". Key names are not
// case-sensitive (IAM user guide, "Condition"), so a context has them in lower case.

/** For each key in lower case its values; a key that the request does not have is absent. */
export type Context = ReadonlyMap<string, readonly string[]>

const keys = new Set([
  'aws:requestedregion',
  'aws:securetransport',
  'aws:tagkeys',
  'ec2:availabilityzone',
  'ec2:createaction',
  'ec2:region',
  'ec2:subnet',
  'ec2:vpc',
])
const tagKeyPrefixes = ['aws:requesttag/', 'aws:resourcetag/', 'ec2:resourcetag/']
const multivalued = new Set(['aws:tagkeys'])

export function isKnownKey(key: string): boolean {
  const name = key.toLowerCase()
  return keys.has(name) || tagKeyPrefixes.some((prefix) => name.startsWith(prefix) && name.length > prefix.length)
}

export function isMultivalued(key: string): boolean {
  return multivalued.has(key.toLowerCase())
}

export function contextOf(values: Readonly<Record<string, string | readonly string[]>>): Context {
  return new Map(
    Object.entries(values).map(([key, value]) => [key.toLowerCase(), typeof value === 'string' ? [value] : value]),
  )
}
