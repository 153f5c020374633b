// The manifests that the cluster tests apply: a NodeENI of the user plane, and pods that ask for its resource.
import { network } from '../../sim/installation/account.ts'

export const dataplane = 'intel.com/upf_dataplane'

export interface NodeENIManifest {
  readonly metadata: { readonly name: string }
  readonly spec: { readonly nodeSelector: Readonly<Record<string, string>>; readonly [field: string]: unknown }
}

/** A user-plane NodeENI; `fields` are added to its spec. */
export function userPlane(name: string, fields: Readonly<Record<string, unknown>> = {}): NodeENIManifest {
  const manifest = {
    apiVersion: 'networking.k8s.aws/v1alpha1',
    kind: 'NodeENI',
    metadata: { name },
    spec: {
      nodeSelector: { ng: 'multi-eni' },
      subnetID: network.userPlaneSubnet,
      securityGroupIDs: [network.userPlaneGroup],
      deviceIndex: 1,
      enableDPDK: true,
      dpdkResourceName: dataplane,
      ...fields,
    },
  }
  return manifest
}

/** A pod in namespace default; `fields` are added to its spec. */
export function upfPod(name: string, count = 1, fields: Readonly<Record<string, unknown>> = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'upf',
          image: 'localhost/upf-cnf:demo',
          imagePullPolicy: 'Never',
          resources: { limits: { [dataplane]: String(count) } },
        },
      ],
      ...fields,
    },
  }
}
