// The audit log is the stopwatch of the benchmarks: when was a Binding requested, when an attachment written? It counts writes as well.
import type { ControlPlaneProfile } from './profile.ts'

const changes = ['create', 'update', 'patch', 'delete']

const bindings = [
  {
    level: 'Metadata',
    verbs: ['create'],
    resources: [{ group: '', resources: ['pods/binding'] }],
  },
  {
    level: 'Metadata',
    verbs: changes,
    resources: [{ group: 'networking.k8s.aws', resources: ['eniattachments', 'eniattachments/status'] }],
  },
]

export function auditPolicy({ audit = 'bindings' }: ControlPlaneProfile): object {
  return {
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Policy',
    // One line per request, written when it is answered; it carries the time of the request as well.
    omitStages: ['RequestReceived'],
    rules: [...(audit === 'bindings' ? bindings : [{ level: 'Metadata', verbs: changes }]), { level: 'None' }],
  }
}
