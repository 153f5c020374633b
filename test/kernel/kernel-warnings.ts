// What a guest's kernel complains of, and what of that is a fault.
import type { Guest } from '../../sim/guest/guest.ts'

/** Traces of the kernel's own checks, processes that hang, and memory accesses of cards that the IOMMU has refused. */
const graveMarks =
  /WARNING:|BUG:|Oops:|Call Trace|general protection|blocked for more than|DMAR:.*[Ff]ault|Relaying device/

export async function kernelWarnings(guest: Guest): Promise<{ readonly all: string[]; readonly grave: string[] }> {
  const lines = (await guest.run('dmesg', ['--decode'])).split('\n')
  return {
    all: lines.filter((line) => /^\w+ *:(emerg|alert|crit|err|warn) *:/.test(line)),
    grave: lines.filter((line) => graveMarks.test(line)),
  }
}
