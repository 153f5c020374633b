// What the kernel counts of a process's memory.
import { readFileSync } from 'node:fs'

export interface ProcessMemory {
  /** VmRSS: pages shared with other processes, such as those of the node binary, are counted in each of them. */
  readonly rssMB: number
  /** Shared pages are divided among those who have them. */
  readonly pssMB: number
  /** Heaps and stacks: what no other process has. */
  readonly anonymousMB: number
}

export function memoryOf(pid: number): ProcessMemory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return {
    rssMB: megabytes(status, 'VmRSS'),
    pssMB: megabytes(rollup, 'Pss'),
    anonymousMB: megabytes(rollup, 'Anonymous'),
  }
}

/** Processes that this one has started and that still run. */
export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return text === '' ? [] : text.split(' ').map(Number)
}

function megabytes(text: string, name: string): number {
  const kilobytes = new RegExp(`^${name}:\\s+([0-9]+) kB$`, 'm').exec(text)?.[1]
  if (kilobytes === undefined) throw new Error(`no ${name} in what the kernel says of the process`)
  return Number(kilobytes) / 1024
}
