// The device plugin: finds the ENIs of its node, gives them to their drivers, offers them to the kubelet, acknowledges claims.
import { mkdirSync, readFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

import { Cluster } from '../kube/cluster.ts'
import { EventRecorder } from '../kube/event-recorder.ts'
import { Informer } from '../kube/informer.ts'
import { attachmentParser, nodeENIParser, parseNode } from '../kube/objects.ts'
import { attachmentsPath, nodeENIsPath, nodesPath } from '../kube/resource.ts'
import { runProgram, runTogether } from '../process/lifecycle.ts'
import { createLog } from '../process/log.ts'
import { AllocationRecords } from './allocation-record.ts'
import { ClusterAttachmentWrites } from './attachment-writes.ts'
import { systemClock } from './monotonic-clock.ts'
import { CdiSpecs } from './cdi-specs.ts'
import { WriterProcess } from './control-writes.ts'
import { watchForDeadMounts } from './dead-mount.ts'
import { DeviceInfoFiles } from './device-info.ts'
import { DevicePlugin } from './device-plugin.ts'
import { InstanceLock } from './instance-lock.ts'
import { InstanceMetadata } from './instance-metadata.ts'
import { IprouteLinks } from './iproute-links.ts'
import { Journal } from './journal.ts'
import { PodResourcesClient } from './pod-resources.ts'
import { checkCommand } from './preflight/command.ts'
import { devicePluginSettings } from './settings.ts'
import { serveStatusInTurn } from './standby-status.ts'

if (process.argv.length > 2) {
  const { code, text } = await checkCommand(process.argv.slice(2), process.env)
  writeSync(code === 2 ? process.stderr.fd : process.stdout.fd, text)
  process.exit(code)
}

const programLog = createLog('device-plugin', process.env['LOG_LEVEL'])

await runProgram(programLog, async (signal) => {
  const settings = devicePluginSettings(process.env)
  const { nodeName, stateDir, proc, statusListen: listen } = settings
  const log = programLog.child({ node: nodeName })
  const cluster = new Cluster(settings.kubeconfig)

  mkdirSync(stateDir, { recursive: true })
  const bootID = readFileSync(`${proc}/sys/kernel/random/boot_id`, 'utf8').trim()
  const journal = new Journal(`${stateDir}/cards`, bootID, log)
  const specs = new CdiSpecs(settings.cdiDir, log)
  const records = new AllocationRecords(`${stateDir}/allocations`, log)
  const infos = new DeviceInfoFiles(settings.deviceInfoDir, log)
  const lock = new InstanceLock(stateDir, log)

  const ownName = `metadata.name=${nodeName}`
  const nodes = new Informer({ cluster, path: nodesPath, fieldSelector: ownName, parse: parseNode, log })
  const nodeENIs = new Informer({ cluster, path: nodeENIsPath, parse: nodeENIParser(log), log })
  const attachments = new Informer({
    cluster,
    path: attachmentsPath,
    fieldSelector: `spec.nodeName=${nodeName}`,
    parse: attachmentParser(log),
    log,
  })
  const caches = [nodes, nodeENIs, attachments]

  const writer = new WriterProcess()
  const metadata = new InstanceMetadata({ url: settings.instanceMetadata, log, onKnown: () => plugin.poke() })
  const plugin: DevicePlugin = new DevicePlugin({
    settings,
    state: () =>
      caches.every(({ hasSynced }) => hasSynced)
        ? { node: nodes.get(nodeName), nodeENIs: nodeENIs.values(), attachments: attachments.values() }
        : undefined,
    writes: new ClusterAttachmentWrites(cluster),
    events: new EventRecorder(cluster, 'jit-eni-device-plugin', log),
    controlWrites: writer,
    links: new IprouteLinks(),
    primaryMac: () => metadata.primaryMac,
    podResources: new PodResourcesClient(settings.podResourcesSocket),
    journal,
    specs,
    infos,
    records,
    clock: systemClock,
    log,
  })
  for (const cache of caches) cache.onChange(() => plugin.poke())
  // An empty list is no change, and yet the last thing to be waited for.
  void Promise.all(caches.map(({ synced }) => synced)).then(() => plugin.poke())

  const kubeletDirs = [settings.devicePluginsDir, dirname(settings.podResourcesSocket)]
  const hostDirs = [...kubeletDirs, settings.cdiDir, settings.deviceInfoDir, stateDir]
  await runTogether(signal, [
    (stop) => watchForDeadMounts(hostDirs, stop),
    (stop) => metadata.run(stop),
    ...caches.map((cache) => (stop: AbortSignal) => cache.run(stop)),
    (stop) =>
      lock.during(stop, async (ours) => {
        await journal.load()
        await specs.load()
        await infos.load(settings.resources)
        await records.load()
        await plugin.run(ours)
      }),
    ...(listen === undefined ? [] : [(stop: AbortSignal) => serveStatusInTurn(plugin.status, listen, lock, stop)]),
  ])
  writer.stop()
})
