// Which PCI devices may ever be taken: by vendor and device, as lspci -n writes them. All else is refused.
import { z } from 'zod'

/** Amazon's ENA, physical and virtual function, each with and without LLQ (ena_pci_id_tbl.h of the kernel). */
export const enaDevices = '1d0f:0ec2,1d0f:1ec2,1d0f:ec20,1d0f:ec21'

const deviceID = /^[0-9a-f]{4}:[0-9a-f]{4}$/

/** Comma-separated, in any case. */
export const allowedDevices = z
  .string()
  .transform((text) => text.split(',').map((id) => id.trim().toLowerCase()))
  .refine((ids) => ids.every((id) => deviceID.test(id)), {
    message: 'must be PCI ids such as 1d0f:ec20, with commas between them',
  })
  .transform((ids): ReadonlySet<string> => new Set(ids))
