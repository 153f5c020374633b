// The kubelet's two gRPC APIs, loaded from proto/ at run time: device plugin v1beta1 and PodResources v1.
import { fileURLToPath } from 'node:url'

import { loadPackageDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

import type { ProtoGrpcType as DevicePluginProto } from './gen/deviceplugin.ts'
import type { ProtoGrpcType as PodResourcesProto } from './gen/podresources.ts'

/** The only version that kubelets speak (k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1/constants.go). */
export const devicePluginVersion = 'v1beta1'

export const devicePluginApi = (load('deviceplugin.proto') as unknown as DevicePluginProto).v1beta1
export const podResourcesApi = (load('podresources.proto') as unknown as PodResourcesProto).v1

function load(fileName: string) {
  const path = fileURLToPath(new URL(`../../proto/${fileName}`, import.meta.url))
  return loadPackageDefinition(loadSync(path, { longs: Number, defaults: true }))
}
