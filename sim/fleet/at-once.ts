// So many of them under way at the same time.

/** Rejects with the first failure, and begins nothing more after it. */
export async function atOnce<T>(
  lanes: number,
  items: Iterable<T>,
  work: (item: T, index: number) => Promise<unknown>,
): Promise<void> {
  const rest = items[Symbol.iterator]()
  let index = 0
  const failed = new AbortController()
  const lane = async () => {
    for (let next = rest.next(); next.done !== true && !failed.signal.aborted; next = rest.next()) {
      await work(next.value, index++).catch((error: unknown) => {
        failed.abort()
        throw error
      })
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}
