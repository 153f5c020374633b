// Which resource names can be served: those that the kubelet takes and that give a variable, files and a CDI kind of their own.
import { resourceNamePattern } from '../api/node-eni.ts'
import { environmentName } from './allocation.ts'
import { deviceInfoFileName } from './device-info.ts'

/** "requests." before it must still leave a DNS subdomain (IsExtendedResourceName, pkg/apis/core/v1/helper/helpers.go). */
const prefixMaxLength = 253 - 'requests.'.length
/** IsQualifiedName (apimachinery/pkg/util/validation). */
const nameMaxLength = 63
/** NAME_MAX of a file (limits.h), less what is around the name while it is written. */
const fileNameMaxLength = 255 - '.'.length - '.new'.length
const anyDeviceID = '0000:00:00.0'
/** Of vendor and class alike (pkg/parser of the Container Device Interface); what follows the first letter is in every resource name. */
const beginsWithLetter = /^[A-Za-z]/

export type ResourceCheck = (resource: string) => string | undefined

/** Says why a resource is not served. Of several that a pod could not tell apart the first by name is served. */
export function resourceCheck(managed: Iterable<string>, injection: 'cdi' | 'device-nodes'): ResourceCheck {
  const problems = new Map<string, string>()
  const owners = new Map<string, string>()
  for (const resource of [...managed].toSorted()) {
    const problem = problemOf(resource, injection) ?? clash(resource, owners)
    if (problem !== undefined) problems.set(resource, problem)
    else for (const own of ownNames(resource)) owners.set(own, resource)
  }
  return (resource) => problems.get(resource) ?? problemOf(resource, injection) ?? clash(resource, owners)
}

function problemOf(resource: string, injection: 'cdi' | 'device-nodes'): string | undefined {
  if (!resourceNamePattern.test(resource)) return `resource ${JSON.stringify(resource)} is not of the form prefix/name`
  const [prefix = '', name = ''] = resource.split('/')
  if (resource.includes('kubernetes.io/') || prefix.startsWith('requests.')) {
    return `resource ${resource}: Kubernetes keeps such prefixes for itself`
  }
  if (prefix.length > prefixMaxLength)
    return `resource ${resource}: its prefix has more than ${prefixMaxLength} characters`
  if (name.length > nameMaxLength) return `resource ${resource}: its name has more than ${nameMaxLength} characters`
  if (deviceInfoFileName(resource, anyDeviceID).length > fileNameMaxLength) {
    return `resource ${resource}: its name is too long for those of its device-info files`
  }
  if (injection === 'device-nodes' || (beginsWithLetter.test(prefix) && beginsWithLetter.test(name))) return undefined
  return `resource ${resource} cannot be a CDI kind, of which both parts begin with a letter; rename it, or set JIT_ENI_DEVICE_INJECTION=device-nodes`
}

function clash(resource: string, owners: ReadonlyMap<string, string>): string | undefined {
  const taken = ownNames(resource).find((own) => (owners.get(own) ?? resource) !== resource)
  if (taken === undefined) return undefined
  return `resource ${resource}: ${taken} is that of ${owners.get(taken)} already; rename one of them`
}

/** What a pod or Multus would take for that of another resource. */
function ownNames(resource: string): readonly string[] {
  const variable = environmentName(resource)
  return [variable, `${variable}_INFO`, deviceInfoFileName(resource, 'DEVICE')]
}
