// The record of writes to driver controls, as the kernel's trace has it.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { driverWritesIn } from '../../sim/guest/driver-writes.ts'

/** As Linux 6.1 wrote it when the device plugin bound a card: values end with a line break or without, as they were written. */
const trace = `# tracer: nop
#
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
 node-MainThread-791     [001] .....   216.408560: driver_override: (driver_set_override+0x0/0x140) device="0000:02:00.0" driver="vfio-pci
"
 node-MainThread-791     [001] .....   216.417289: unbind: (unbind_store+0x0/0x110) device="0000:02:00.0"
 node-MainThread-791     [001] .....   216.683543: drivers_probe: (drivers_probe_store+0x0/0x60) device="0000:02:00.0"
 node-MainThread-791     [000] .....   216.864073: driver_override: (driver_set_override+0x0/0x140) device="0000:02:00.0" driver="
"
              sh-812     [000] .....   230.000001: bind: (bind_store+0x0/0x100) device="0000:03:00.0
"
`

test('each write with its card, in their order; an override with its driver, empty when it is taken away', () => {
  const pciAddress = '0000:02:00.0'
  assert.deepEqual(driverWritesIn(trace), [
    { file: 'driver_override', pciAddress, driver: 'vfio-pci' },
    { file: 'unbind', pciAddress },
    { file: 'drivers_probe', pciAddress },
    { file: 'driver_override', pciAddress, driver: '' },
    { file: 'bind', pciAddress: '0000:03:00.0' },
  ])
})
