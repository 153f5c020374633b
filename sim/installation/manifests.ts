// The manifests of deploy/, as the tests apply them: everything but the workloads, whose programs run as processes here.
import { readdirSync, readFileSync } from 'node:fs'
import { parse, parseAllDocuments } from 'yaml'

const deployDir = new URL('../../deploy/', import.meta.url)
const workloads = new Set(['Deployment', 'DaemonSet'])

export interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data?: Readonly<Record<string, string>>
}

/** In the order in which they are applied: the namespace and the CRDs first. */
export function deployManifests(): Manifest[] {
  const crds = readdirSync(new URL('crds/', deployDir)).map((name) => `crds/${name}`)
  const files = ['namespace.yaml', ...crds, 'scheduler.yaml', 'attacher.yaml', 'device-plugin.yaml', 'admission.yaml']
  return files.flatMap((file) => {
    const documents = parseAllDocuments(readFileSync(new URL(file, deployDir), 'utf8'))
    return documents.map((document) => document.toJS() as Manifest)
  })
}

export function isWorkload({ kind }: Manifest): boolean {
  return workloads.has(kind)
}

/** One YAML stream for kubectl; JSON is YAML. */
export function asStream(manifests: readonly object[]): string {
  return manifests.map((manifest) => JSON.stringify(manifest)).join('\n---\n')
}

interface SchedulerConfiguration {
  readonly extenders: readonly {
    readonly urlPrefix: string
    readonly managedResources: readonly { readonly name: string }[]
  }[]
}

/** The KubeSchedulerConfiguration that deploy/scheduler.yaml carries, with the extender at `urlPrefix`. */
export function schedulerConfiguration(urlPrefix: string): SchedulerConfiguration {
  const configMap = deployManifests().find(({ kind }) => kind === 'ConfigMap')
  const configuration = parse(configMap?.data?.['scheduler.yaml'] ?? '') as SchedulerConfiguration
  return { ...configuration, extenders: configuration.extenders.map((extender) => ({ ...extender, urlPrefix })) }
}

/** The managed resources, as the scheduler has them. */
export function managedResources(): string[] {
  return schedulerConfiguration('').extenders.flatMap(({ managedResources: list }) => list.map(({ name }) => name))
}
