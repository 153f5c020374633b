// Every write to the files by which PCI devices change their drivers, as the guest's kernel takes it: by whom is not asked, so nothing
// that anybody in the guest does to a driver by hand or by program is missed. It is known by the kernel's own functions (kprobes), and
// so what Linux itself does when a device comes or goes is no write. A reset of the guest ends the record.
import type { Guest } from './guest.ts'

export interface DriverWrite {
  readonly file: 'driver_override' | 'unbind' | 'bind' | 'drivers_probe'
  readonly pciAddress: string
  /** Of an override: the driver, or nothing. */
  readonly driver?: string
}

const tracing = '/sys/kernel/tracing'

/** By drivers/base of Linux 6.1: registers in the order of the function's parameters, on x86-64. */
const probes = [
  // (dev, override, text, length): the name of a device is that of its kobject, which it begins with.
  'p:driver_writes/driver_override driver_set_override device=+0(+0(%di)):string driver=+0(%dx):string',
  // (driver, text, length)
  'p:driver_writes/unbind unbind_store device=+0(%si):string',
  'p:driver_writes/bind bind_store device=+0(%si):string',
  // (bus, text, length)
  'p:driver_writes/drivers_probe drivers_probe_store device=+0(%si):string',
]

export class DriverWrites {
  readonly #guest: Guest

  private constructor(guest: Guest) {
    this.#guest = guest
  }

  /** From now on. */
  static async record(guest: Guest): Promise<DriverWrites> {
    const lines = [
      `mountpoint -q ${tracing} || mount -t tracefs tracefs ${tracing}`,
      ...probes.map((probe) => `echo '${probe}' >>${tracing}/kprobe_events`),
      `echo 1 >${tracing}/events/driver_writes/enable`,
      `echo 1 >${tracing}/tracing_on`,
    ]
    await guest.script(lines.join('\n'))
    return new DriverWrites(guest)
  }

  /** The first one first, also those that block in the kernel still. */
  async all(): Promise<DriverWrite[]> {
    return driverWritesIn(await this.#guest.run('cat', [`${tracing}/trace`]))
  }

  async to(pciAddress: string): Promise<DriverWrite[]> {
    return (await this.all()).filter((write) => write.pciAddress === pciAddress)
  }
}

/** A value ends as it was written: with a line break or without. */
export function driverWritesIn(trace: string): DriverWrite[] {
  const entry = / (driver_override|unbind|bind|drivers_probe): \([^)]*\) device="([^"]*)"(?: driver="([^"]*)")?/g
  return [...trace.matchAll(entry)].map(([, file, device = '', driver]) => ({
    file: file as DriverWrite['file'],
    pciAddress: device.trim(),
    ...(driver !== undefined && { driver: driver.trim() }),
  }))
}
