// The device plugin's settings, from its environment, and the check that the directories they name are there.
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'

import { listenAddress, logLevel, readSettings, resourceList, SettingsError } from '../process/settings.ts'
import { allowedDevices, enaDevices } from './allowed-devices.ts'
import { instanceMetadataURL } from './instance-metadata.ts'

import type { Topology } from './numa-node.ts'

/** sun_path of a unix socket has 108 bytes, one of them the terminator (unix(7)). */
const socketPathMaxBytes = 107
/** Longest name that plugin-server.ts gives a socket. */
const socketNameMaxBytes = 32

/** Where things are on the node; and which cards may be taken: all that a preflight needs. */
const places = {
  JIT_ENI_SYS: z.string().min(1).default('/sys'),
  JIT_ENI_DEV: z.string().min(1).default('/dev'),
  JIT_ENI_PROC: z.string().min(1).default('/proc'),
  JIT_ENI_DEVICE_PLUGINS_DIR: z.string().min(1).default('/var/lib/kubelet/device-plugins'),
  JIT_ENI_POD_RESOURCES_SOCKET: z.string().min(1).default('/var/lib/kubelet/pod-resources/kubelet.sock'),
  JIT_ENI_CDI_DIR: z.string().min(1).default('/var/run/cdi'),
  JIT_ENI_DEVICE_INFO_DIR: z.string().min(1).default('/var/run/k8s.cni.cncf.io/devinfo/dp'),
  JIT_ENI_STATE_DIR: z.string().min(1).default('/var/lib/jit-eni'),
  /** PCI devices that may be taken. */
  JIT_ENI_ALLOWED_DEVICES: allowedDevices.default(allowedDevices.parse(enaDevices)),
}

const schema = z
  .object({
    NODE_NAME: z.string('set it to spec.nodeName of this pod').min(1),
    /** The managed resources; the same list as managedResources in the KubeSchedulerConfiguration. */
    JIT_ENI_RESOURCES: resourceList,
    KUBECONFIG: z.string().min(1).optional(),
    ...places,
    /** device-nodes is for runtimes without CDI (containerd before 1.7). */
    JIT_ENI_DEVICE_INJECTION: z.enum(['cdi', 'device-nodes']).default('cdi'),
    /** What the kubelet is told of a device's NUMA node: what the platform says, nothing, or this number. */
    JIT_ENI_TOPOLOGY: z
      .string()
      .regex(/^(auto|none|[0-9]{1,4})$/, 'must be auto, none or the number of a NUMA node')
      .default('auto')
      .transform((text): Topology => (text === 'auto' || text === 'none' ? text : Number(text))),
    /** Where EC2's instance metadata are, or "off". */
    JIT_ENI_INSTANCE_METADATA: z
      .union([z.literal('off'), z.url({ protocol: /^http$/, error: 'must be an http URL, or off' })])
      .default(instanceMetadataURL),
    JIT_ENI_STATUS_LISTEN: listenAddress.optional(),
    LOG_LEVEL: logLevel,
  })
  .transform((env) => ({
    nodeName: env.NODE_NAME,
    resources: env.JIT_ENI_RESOURCES,
    kubeconfig: env.KUBECONFIG,
    sys: env.JIT_ENI_SYS,
    dev: env.JIT_ENI_DEV,
    proc: env.JIT_ENI_PROC,
    devicePluginsDir: env.JIT_ENI_DEVICE_PLUGINS_DIR,
    podResourcesSocket: env.JIT_ENI_POD_RESOURCES_SOCKET,
    allowedDevices: env.JIT_ENI_ALLOWED_DEVICES,
    deviceInjection: env.JIT_ENI_DEVICE_INJECTION,
    cdiDir: env.JIT_ENI_CDI_DIR,
    deviceInfoDir: env.JIT_ENI_DEVICE_INFO_DIR,
    topology: env.JIT_ENI_TOPOLOGY,
    instanceMetadata: env.JIT_ENI_INSTANCE_METADATA === 'off' ? undefined : env.JIT_ENI_INSTANCE_METADATA,
    stateDir: env.JIT_ENI_STATE_DIR,
    statusListen: env.JIT_ENI_STATUS_LISTEN,
  }))

const placesSchema = z.object(places).transform((env) => ({
  sys: env.JIT_ENI_SYS,
  dev: env.JIT_ENI_DEV,
  proc: env.JIT_ENI_PROC,
  devicePluginsDir: env.JIT_ENI_DEVICE_PLUGINS_DIR,
  podResourcesSocket: env.JIT_ENI_POD_RESOURCES_SOCKET,
  stateDir: env.JIT_ENI_STATE_DIR,
  allowedDevices: env.JIT_ENI_ALLOWED_DEVICES,
  ownDirectories: {
    'state directory': env.JIT_ENI_STATE_DIR,
    'CDI directory': env.JIT_ENI_CDI_DIR,
    'device-info directory': env.JIT_ENI_DEVICE_INFO_DIR,
  },
}))

export type DevicePluginSettings = z.output<typeof schema>

/** @throws SettingsError that names what is missing. */
export function devicePluginSettings(env: Readonly<Record<string, string | undefined>>): DevicePluginSettings {
  const settings = readSettings(schema, env)
  needDirectory('JIT_ENI_DEVICE_PLUGINS_DIR', settings.devicePluginsDir, "mount the kubelet's device plugin directory")
  const podResources = dirname(settings.podResourcesSocket)
  needDirectory('JIT_ENI_POD_RESOURCES_SOCKET', podResources, "mount the kubelet's pod-resources directory")
  needDirectory('JIT_ENI_SYS', `${settings.sys}/bus/pci/devices`, "mount the host's /sys, writable")
  needDirectory('JIT_ENI_PROC', `${settings.proc}/sys/kernel/random`, "mount the host's /proc")
  const longest = Buffer.byteLength(settings.devicePluginsDir) + 1 + socketNameMaxBytes
  if (longest > socketPathMaxBytes) {
    throw new SettingsError(
      `environment: JIT_ENI_DEVICE_PLUGINS_DIR: ${settings.devicePluginsDir} is too long for the path of a socket in it`,
    )
  }
  return settings
}

/** Of the preflight, which says itself what is not there. @throws SettingsError for an empty path. */
export function preflightPlaces(env: Readonly<Record<string, string | undefined>>): z.output<typeof placesSchema> {
  return readSettings(placesSchema, env)
}

function needDirectory(setting: string, path: string, advice: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return
  throw new SettingsError(`environment: ${setting}: there is no directory ${path}: ${advice}`)
}
