// The packages of the distribution that a guest and the making of its kernel need.
import { access } from 'node:fs/promises'
import path from 'node:path'
import { commandTools, type Tool } from '../../cluster/binaries/distribution-tools.ts'
import { busybox, cni, runc } from '../../cluster/binaries/host-tools.ts'

/** Those that run the guest, and those that run in it: it sees the machine's programs. */
export const guestTools: readonly Tool[] = [
  ...commandTools({
    'qemu-system-x86_64': 'qemu-system-x86',
    modprobe: 'kmod',
    mount: 'mount',
    ip: 'iproute2',
    udevadm: 'udev',
    socat: 'socat',
    'mkfs.ext4': 'e2fsprogs',
  }),
  busybox,
  runc,
  cni,
]

/** Needed only while the cache has no kernel. */
export const buildTools: readonly Tool[] = commandTools({
  'dpkg-deb': 'dpkg',
  depmod: 'kmod',
  tar: 'tar',
  xz: 'xz-utils',
  make: 'make',
  gcc: 'gcc',
})

/** What modules of this very kernel are built with. */
export function headersOf(version: string, headersDir: string): Tool {
  const debianPackage = `linux-headers-${version}`
  const directory = path.join(headersDir, debianPackage)
  return {
    name: `headers of the kernel ${version}`,
    debianPackage,
    find: () =>
      access(path.join(directory, 'Makefile')).then(
        () => directory,
        () => undefined,
      ),
  }
}
