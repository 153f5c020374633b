// How the extender and the attacher are started beside a cluster: as processes that authenticate as the ServiceAccounts of deploy/, so
// that a missing or excessive right shows.
import path from 'node:path'
import type { Cluster } from '../cluster/cluster.ts'
import type { SimulatedEc2 } from '../ec2/start-ec2.ts'
import { managedResources } from './manifests.ts'
import { Program, type ProgramCode } from './program.ts'

export const namespace = 'jit-eni'

type Surroundings = Pick<Cluster, 'runDir' | 'serviceAccountKubeconfig'>

/** What every program of ours has in its environment. */
export function commonEnvironment({ runDir }: Surroundings): Record<'PATH' | 'HOME' | 'JIT_ENI_RESOURCES', string> {
  return { PATH: process.env['PATH'] ?? '', HOME: runDir, JIT_ENI_RESOURCES: managedResources().join(',') }
}

/** On a port of its own choice. */
export async function extenderProgram(
  cluster: Surroundings,
  code: ProgramCode,
  env: Readonly<Record<string, string>> = {},
  name = 'extender',
): Promise<Program> {
  const KUBECONFIG = await cluster.serviceAccountKubeconfig({ namespace, name: 'jit-eni-scheduler' })
  return new Program({
    name,
    program: 'extender',
    code,
    logFile: path.join(cluster.runDir, `${name}.log`),
    env: { ...commonEnvironment(cluster), KUBECONFIG, JIT_ENI_LISTEN: '127.0.0.1:0', ...env },
  })
}

export async function attacherProgram(
  cluster: Surroundings,
  ec2: Pick<SimulatedEc2, 'environment'>,
  code: ProgramCode,
  env: Readonly<Record<string, string>> = {},
): Promise<Program> {
  const KUBECONFIG = await cluster.serviceAccountKubeconfig({ namespace, name: 'jit-eni-attacher' })
  return new Program({
    name: 'attacher',
    program: 'attacher',
    code,
    logFile: path.join(cluster.runDir, 'attacher.log'),
    env: {
      ...commonEnvironment(cluster),
      ...ec2.environment(),
      KUBECONFIG,
      JIT_ENI_CLUSTER: path.basename(cluster.runDir),
      ...env,
    },
  })
}
