/** What a promise gives, or undefined when that takes longer than `ms`. The promise must not reject. */
export function within<T>(ms: number, pending: Promise<T>): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<T | undefined>()
  const timer = setTimeout(() => resolve(undefined), ms)
  void pending.then((value) => {
    clearTimeout(timer)
    resolve(value)
  })
  return promise
}
