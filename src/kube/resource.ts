// REST paths of the objects that our programs use.
import { group, version } from '../api/names.ts'

const ours = `/apis/${group}/${version}`

export const nodesPath = '/api/v1/nodes'
export const podsPath = '/api/v1/pods'
export const nodeENIsPath = `${ours}/nodeenis`
export const attachmentsPath = `${ours}/eniattachments`

export function nodePath(name: string): string {
  return `${nodesPath}/${encodeURIComponent(name)}`
}

export function nodeENIPath(name: string): string {
  return `${nodeENIsPath}/${encodeURIComponent(name)}`
}

export function attachmentPath(name: string): string {
  return `${attachmentsPath}/${encodeURIComponent(name)}`
}

export function podPath(namespace: string, name: string): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`
}

export function leasePath(namespace: string, name: string): string {
  return `${leasesPath(namespace)}/${encodeURIComponent(name)}`
}

export function leasesPath(namespace: string): string {
  return `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`
}

export function eventsPath(namespace: string): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`
}
