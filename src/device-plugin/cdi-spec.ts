// The text of a CDI spec file: what the container runtime adds to a container that has one of our devices by name
// (SPEC.md of the Container Device Interface). One file for each resource; its kind is the resource's name.
import { z } from 'zod'

import { type DeviceNode, nodePermissions } from './device-nodes.ts'

/** By device ID, which is the PCI address. */
export type SpecDevices = ReadonlyMap<string, readonly DeviceNode[]>

const prefix = 'jit-eni-'
const suffix = '.json'

/** The prefix of a resource has no "_" (RFC 1123), so two resources never share a file. */
export function specFileName(resource: string): string {
  return `${prefix}${resource.replace('/', '_')}${suffix}`
}

export function hasSpecFileName(name: string): boolean {
  return name.startsWith(prefix) && name.endsWith(suffix)
}

/** The name that stays true however often the card is bound anew. */
export function cdiDeviceName(resource: string, deviceID: string): string {
  return `${resource}=${deviceID}`
}

/** A device without nodes must be left out: empty edits make the runtime refuse the whole file (pkg/cdi/device.go). */
export function specText(resource: string, devices: SpecDevices): string {
  return JSON.stringify({
    cdiVersion: specVersion(resource),
    kind: resource,
    devices: Array.from(devices, ([name, nodes]) => ({
      name,
      containerEdits: {
        deviceNodes: nodes.map(({ containerPath, hostPath }) => ({
          path: containerPath,
          hostPath,
          type: 'c',
          permissions: nodePermissions,
        })),
      },
    })),
  })
}

/**
 * The lowest that the content allows, as older runtimes refuse later ones: hostPath and names that begin with a digit came with
 * 0.5.0, a dot in the class with 0.6.0 (specs-go/version.go).
 */
function specVersion(resource: string): string {
  const [, className = ''] = resource.split('/')
  return className.includes('.') ? '0.6.0' : '0.5.0'
}

const specSchema = z.object({
  kind: z.string(),
  devices: z.array(
    z.object({
      name: z.string(),
      containerEdits: z.object({
        deviceNodes: z.array(z.object({ path: z.string(), hostPath: z.string() })),
      }),
    }),
  ),
})

export interface ParsedSpec {
  readonly resource: string
  readonly devices: SpecDevices
}

/** undefined for what is no file of ours. */
export function parseSpec(text: string): ParsedSpec | undefined {
  const parsed = specSchema.safeParse(json(text))
  if (!parsed.success) return undefined
  const { kind, devices } = parsed.data
  const nodesOf = ({ containerEdits }: (typeof devices)[number]) =>
    containerEdits.deviceNodes.map(({ path, hostPath }) => ({ containerPath: path, hostPath }))
  return { resource: kind, devices: new Map(devices.map((device) => [device.name, nodesOf(device)])) }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
