// Quantiles of a series of measurements, and a table of them with ratios to a base.

export interface Summary {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

export function summary(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (quantile: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(quantile * sorted.length))] ?? Number.NaN
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}

/** The last column is the ratio of the medians. */
export function table(rows: Readonly<Record<string, Summary>>, base: number, digits = 0, unit = 'ms'): string {
  const cell = (text: string) => text.padStart(10)
  const head = `${''.padEnd(30)}${[`p50 ${unit}`, `p95 ${unit}`, `p99 ${unit}`, 'p50 ratio'].map(cell).join('')}`
  const lines = Object.entries(rows).map(([name, { p50, p95, p99 }]) => {
    const cells = [...[p50, p95, p99].map((value) => value.toFixed(digits)), (p50 / base).toFixed(2)]
    return `${name.padEnd(30)}${cells.map(cell).join('')}`
  })
  return [head, ...lines].join('\n')
}
