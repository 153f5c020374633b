// Character devices below dev/: real ones, so that a container runtime can create them in a container, but with no driver behind them.
import { execFile } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { promisify } from 'node:util'

export interface DeviceNumber {
  readonly major: number
  readonly minor: number
}

/** The misc device of the VFIO container (Documentation/admin-guide/devices.txt). */
export const vfioContainer: DeviceNumber = { major: 10, minor: 196 }

// The kernel takes VFIO's and UIO's majors from its dynamic range. 60 to 63 are reserved for local use, so nothing answers there.
const vfioGroupMajor = 60
const uioMajor = 61

export function vfioGroup(minor: number): DeviceNumber {
  return { major: vfioGroupMajor, minor }
}

export function uioDevice(minor: number): DeviceNumber {
  return { major: uioMajor, minor }
}

/** Without root's rights there is no mknod: then a plain file stands for the device, enough for all but a container. */
export async function makeDeviceNode(path: string, { major, minor }: DeviceNumber): Promise<void> {
  if (process.getuid?.() !== 0) {
    writeFileSync(path, '', { mode: 0o600, flag: 'wx' })
    return
  }
  await promisify(execFile)('mknod', ['-m', '600', path, 'c', String(major), String(minor)])
}

export function removeDeviceNode(path: string): void {
  rmSync(path)
}
