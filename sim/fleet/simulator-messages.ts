// What the process of a node simulator is told, and what it says.
import { z } from 'zod'

export const simulatorSettingsSchema = z.object({
  kubeconfig: z.string().min(1),
  managed: z.array(z.string().min(1)),
  kubelets: z.enum(['present', 'absent']),
  offerDelayMs: z.number().min(0),
})
export type SimulatorSettings = z.output<typeof simulatorSettingsSchema>

/** By which environment variable it gets them, as JSON. */
export const settingsVariable = 'FLEET_SIMULATOR'

export const commandSchema = z.object({
  id: z.int(),
  /** Names of nodes whose plugins fall silent, or work again. */
  silence: z.array(z.string()).default([]),
  revive: z.array(z.string()).default([]),
})

const countsSchema = z.object({
  running: z.int(),
  rejected: z.int(),
  withoutDevice: z.int(),
  acknowledged: z.int(),
})

/** `done` answers the command with this id. */
export const messageSchema = z.union([
  z.object({ synced: z.literal(true) }),
  z.object({ done: z.int(), counts: countsSchema }),
])
