// The three schedulers that are compared: with our extender, with the echo server in its place, and without an extender. All else is
// the same, and is what deploy/ says.
import { schedulerConfiguration } from '../../sim/installation/manifests.ts'

/** By default kube-scheduler sends 50 requests a second: then that is what is measured wherever it binds itself. */
const requestsPerSecond = 5_000

function common(): object {
  return {
    clientConnection: { qps: requestsPerSecond, burst: requestsPerSecond },
    // One that is killed would keep the next one waiting for its lease.
    leaderElection: { leaderElect: false },
  }
}

export function withExtender(url: string): object {
  return { ...schedulerConfiguration(url), ...common() }
}

export function withoutExtender(): object {
  const { extenders: _, ...configuration } = schedulerConfiguration('')
  return { ...configuration, ...common() }
}
