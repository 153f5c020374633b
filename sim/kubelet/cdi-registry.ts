// What a container runtime makes of a directory of CDI specs: the library that containerd and CRI-O use, as far as device nodes go
// (tags.cncf.io/container-device-interface 1.1: pkg/cdi/spec-dirs.go, spec.go, device.go, container-edits.go, specs-go/version.go).
// Modelled: which files are read; unknown fields, versions below what the content needs, empty edits and bad names refuse the whole
//   file; a device in two files is in none; the host's node must exist when a container starts.
// Not modelled: YAML, several directories and their priorities, mounts, hooks, annotations, the numbers and modes of nodes, the cache.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

export interface InjectedNode {
  readonly containerPath: string
  readonly hostPath: string
  readonly permissions: string
}

const nodeSchema = z.strictObject({
  path: z.string().min(1),
  hostPath: z.string().optional(),
  type: z.enum(['', 'b', 'c', 'u', 'p']).optional(),
  permissions: z
    .string()
    .regex(/^[rwm]*$/)
    .optional(),
})
const name = /^[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/
const kind = z.string().refine((text) => {
  const [vendor = '', className = '', ...more] = text.split('/')
  return more.length === 0 && name.test(vendor) && name.test(className)
}, 'invalid kind')
const deviceSchema = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$/),
  containerEdits: z.strictObject({
    env: z.array(z.string()).optional(),
    deviceNodes: z.array(nodeSchema).min(1, 'empty device edits'),
  }),
})
const specSchema = z
  .strictObject({
    cdiVersion: z.enum(['0.3.0', '0.4.0', '0.5.0', '0.6.0', '0.7.0', '0.8.0', '1.0.0', '1.1.0']),
    kind,
    devices: z.array(deviceSchema).min(1, 'no devices'),
  })
  .refine((spec) => spec.cdiVersion >= minimumVersion(spec.kind, spec.devices), 'the spec version must be higher')

function minimumVersion(kindOfSpec: string, devices: readonly z.output<typeof deviceSchema>[]): string {
  if (kindOfSpec.split('/')[1]?.includes('.') === true) return '0.6.0'
  const nodes = devices.flatMap(({ containerEdits }) => containerEdits.deviceNodes)
  const isNew =
    devices.some((device) => /^[0-9]/.test(device.name)) || nodes.some(({ hostPath }) => hostPath !== undefined)
  return isNew ? '0.5.0' : '0.3.0'
}

export interface CdiRegistry {
  readonly devices: ReadonlyMap<string, readonly InjectedNode[]>
  /** One line for each file that the runtime refuses, and for each device that it finds twice. */
  readonly errors: readonly string[]
}

export function readCdiRegistry(directory: string): CdiRegistry {
  const devices = new Map<string, readonly InjectedNode[]>()
  const conflicts = new Set<string>()
  const errors: string[] = []
  for (const file of existsSync(directory) ? readdirSync(directory) : []) {
    if (!file.endsWith('.json')) continue
    const parsed = parse(readFileSync(join(directory, file), 'utf8'))
    if (typeof parsed === 'string') {
      errors.push(`${file}: ${parsed}`)
      continue
    }
    for (const device of parsed.devices) {
      const qualified = `${parsed.kind}=${device.name}`
      if (devices.has(qualified)) conflicts.add(qualified)
      devices.set(qualified, device.containerEdits.deviceNodes.map(injected))
    }
  }
  for (const qualified of conflicts) {
    devices.delete(qualified)
    errors.push(`conflicting device ${qualified}`)
  }
  return { devices, errors }
}

/** The nodes that a container with these CDI devices gets. Throws what the runtime answers, and the container does not start. */
export function injectCdiDevices(directory: string, names: readonly string[]): readonly InjectedNode[] {
  const { devices } = readCdiRegistry(directory)
  const unresolved = names.filter((each) => !devices.has(each))
  if (unresolved.length > 0) {
    throw new Error(`CDI device injection failed: unresolvable CDI devices ${unresolved.join(', ')}`)
  }
  // A later node takes the place of an earlier one at the same path.
  const nodes = new Map(names.flatMap((each) => devices.get(each) ?? []).map((node) => [node.containerPath, node]))
  for (const { hostPath } of nodes.values()) {
    if (!existsSync(hostPath))
      throw new Error(`failed to stat CDI host device "${hostPath}": no such file or directory`)
  }
  return [...nodes.values()]
}

function parse(text: string): z.output<typeof specSchema> | string {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return 'failed to unmarshal CDI Spec'
  }
  const parsed = specSchema.safeParse(json)
  return parsed.success ? parsed.data : z.prettifyError(parsed.error)
}

function injected({ path, hostPath = path, permissions = 'rwm' }: z.output<typeof nodeSchema>): InjectedNode {
  return { containerPath: path, hostPath, permissions }
}
