// Which pod holds which device, as a kubelet lists it. The device plugin's own client keeps one holder of each device; here a
// device that the kubelet has given to two pods must show.
import { credentials } from '@grpc/grpc-js'
import type { ListPodResourcesResponse__Output } from '../../src/device-plugin/gen/v1/ListPodResourcesResponse.ts'
import { podResourcesApi } from '../../src/device-plugin/kubelet-api.ts'
import type { HeldDevice } from './picture.ts'

const listDeadlineMs = 10_000

export async function heldDevices(nodeName: string, podResourcesSocket: string): Promise<HeldDevice[]> {
  const { podResources } = await list(podResourcesSocket)
  return podResources.flatMap(({ namespace, name, containers }) =>
    containers
      .flatMap(({ devices }) => devices)
      .flatMap(({ resourceName, deviceIds }) =>
        deviceIds.map((pciAddress) => ({ nodeName, resource: resourceName, pciAddress, pod: `${namespace}/${name}` })),
      ),
  )
}

async function list(socket: string): Promise<ListPodResourcesResponse__Output> {
  const client = new podResourcesApi.PodResourcesLister(`unix://${socket}`, credentials.createInsecure())
  const { promise, resolve, reject } = Promise.withResolvers<ListPodResourcesResponse__Output>()
  client.List({}, { deadline: Date.now() + listDeadlineMs }, (error, answer) => {
    if (answer === undefined) reject(new Error(`no list of devices from the kubelet at ${socket}`, { cause: error }))
    else resolve(answer)
  })
  try {
    return await promise
  } finally {
    client.close()
  }
}
