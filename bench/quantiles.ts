// Quantiles of a series of measurements, and a table of them with ratios to a base.

export interface Summary {
  readonly p50: number
  readonly p99: number
}

export function summary(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (quantile: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(quantile * sorted.length))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}

export function table(rows: Readonly<Record<string, Summary>>, base: number): string {
  const cell = (text: string) => text.padStart(10)
  const head = `${''.padEnd(30)}${['p50 ms', 'p99 ms', 'p50 ratio'].map(cell).join('')}`
  const lines = Object.entries(rows).map(([name, { p50, p99 }]) => {
    return `${name.padEnd(30)}${cell(p50.toFixed(0))}${cell(p99.toFixed(0))}${cell((p50 / base).toFixed(2))}`
  })
  return [head, ...lines].join('\n')
}
