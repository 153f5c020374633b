// The audit log is the stopwatch of the benchmarks: when was a Binding requested, when an attachment written?
export const auditPolicy = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  // One line per request, written when it is answered; it carries the time of the request as well.
  omitStages: ['RequestReceived'],
  rules: [
    {
      level: 'Metadata',
      verbs: ['create'],
      resources: [{ group: '', resources: ['pods/binding'] }],
    },
    {
      level: 'Metadata',
      verbs: ['create', 'update', 'patch', 'delete'],
      resources: [{ group: 'networking.k8s.aws', resources: ['eniattachments', 'eniattachments/status'] }],
    },
    { level: 'None' },
  ],
}
