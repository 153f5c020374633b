// `--check` of the device plugin on a guest, asked for in its own pod there, as docs/device-plugin.md says.
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import type { Scenario } from '../cluster/scenario.ts'

/** When the command of `kubectl exec` fails, what it wrote is not handed on; and the image has no shell. */
const checkAndTell = `
const { spawnSync } = require('node:child_process')
const { stdout, status } = spawnSync(process.execPath, ['dist/device-plugin/main.js', '--check'], { encoding: 'utf8' })
console.log(stdout + 'ended with ' + status)`

export interface PreflightAnswer {
  readonly findings: string
  /** It ended with 0. */
  readonly passed: boolean
}

export async function preflightOn(scenario: Scenario, { name }: GuestNode): Promise<PreflightAnswer> {
  const { cluster } = scenario.installation
  const namespace = ['-n', 'jit-eni']
  const pod = await cluster.kubectl([
    'get',
    'pod',
    ...namespace,
    '-o',
    'name',
    `--field-selector=spec.nodeName=${name}`,
  ])
  const output = await cluster.kubectl(['exec', ...namespace, pod.trim(), '--', 'node', '-e', checkAndTell])
  return { findings: output, passed: output.includes('ended with 0\n') }
}
