// What is needed from outside: three groups of binaries, their versions, and where each can come from.
import path from 'node:path'

const kubernetesVersion = '1.36.3'
const etcdVersion = '3.7.3'
const containerdVersion = '2.4.2'

/** A published file; `archiveFolder` is where the binaries are inside it, when it is a tar.gz. */
export interface Release {
  readonly url: string
  /** A text with a line `<sha256>` or `<sha256>  <file name>`. */
  readonly checksumUrl: string
  readonly archiveFolder?: string
}

export interface BinaryGroup {
  readonly name: 'kubernetes' | 'etcd' | 'containerd'
  readonly version: string
  readonly binaries: readonly string[]
  readonly releases: readonly Release[]
  readonly build: {
    /** The folder with the go.mod and go.sum that pin every dependency by checksum. */
    readonly moduleDir: string
    readonly packages: readonly string[]
    readonly flags: readonly string[]
  }
}

/** Go's and the release sites' word for this processor. */
export const architecture = process.arch === 'x64' ? 'amd64' : process.arch

function moduleDir(name: string): string {
  return path.join(import.meta.dirname, '..', 'build', name)
}

const kubernetesBinaries = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kubectl']
const kubernetesSite = `https://dl.k8s.io/release/v${kubernetesVersion}/bin/linux/${architecture}`
// `go build` knows no release: without these the API server calls itself v0.0.0-master.
const kubernetesLinkerFlags = [
  '-s -w',
  `-X k8s.io/component-base/version.gitVersion=v${kubernetesVersion}`,
  `-X k8s.io/component-base/version.gitMajor=${kubernetesVersion.split('.')[0]}`,
  `-X k8s.io/component-base/version.gitMinor=${kubernetesVersion.split('.')[1]}`,
].join(' ')

const etcdSite = `https://github.com/etcd-io/etcd/releases/download/v${etcdVersion}`
const etcdArchive = `etcd-v${etcdVersion}-linux-${architecture}`

const containerdLinkerFlags = `-s -w -X github.com/containerd/containerd/v2/version.Version=v${containerdVersion}`
const containerdBinaries = ['containerd', 'containerd-shim-runc-v2', 'ctr']
const containerdSite = `https://github.com/containerd/containerd/releases/download/v${containerdVersion}`
const containerdArchive = `containerd-static-${containerdVersion}-linux-${architecture}.tar.gz`

export const binaryGroups: readonly BinaryGroup[] = [
  {
    name: 'etcd',
    version: etcdVersion,
    binaries: ['etcd'],
    releases: [
      {
        url: `${etcdSite}/${etcdArchive}.tar.gz`,
        checksumUrl: `${etcdSite}/SHA256SUMS`,
        archiveFolder: etcdArchive,
      },
    ],
    build: {
      moduleDir: moduleDir('etcd'),
      packages: ['go.etcd.io/etcd/server/v3'],
      flags: ['-ldflags', '-s -w'],
    },
  },
  {
    name: 'containerd',
    version: containerdVersion,
    binaries: containerdBinaries,
    releases: [
      {
        url: `${containerdSite}/${containerdArchive}`,
        checksumUrl: `${containerdSite}/${containerdArchive}.sha256sum`,
        archiveFolder: 'bin',
      },
    ],
    build: {
      moduleDir: moduleDir('containerd'),
      packages: containerdBinaries.map((binary) => `github.com/containerd/containerd/v2/cmd/${binary}`),
      // These snapshotters need C libraries and are of no use here.
      flags: ['-ldflags', containerdLinkerFlags, '-tags', 'no_btrfs no_devmapper no_zfs'],
    },
  },
  {
    name: 'kubernetes',
    version: kubernetesVersion,
    binaries: kubernetesBinaries,
    releases: kubernetesBinaries.map((binary) => ({
      url: `${kubernetesSite}/${binary}`,
      checksumUrl: `${kubernetesSite}/${binary}.sha256`,
    })),
    build: {
      moduleDir: moduleDir('kubernetes'),
      packages: kubernetesBinaries.map((binary) => `k8s.io/kubernetes/cmd/${binary}`),
      flags: ['-ldflags', kubernetesLinkerFlags],
    },
  },
]
