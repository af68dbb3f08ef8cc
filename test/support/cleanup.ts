import { afterEach } from 'vitest'
import { type ProxyOptions, type RunningProxy, startProxy } from './proxy.ts'

/** Closes what a test opened, last first, after each test of the file that calls this. */
export function useCleanups() {
  const closers: (() => unknown)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })
  return {
    /** Runs after the test. */
    later: (close: () => unknown) => void closers.push(close),
    /** Waits for something with `close` and closes it after the test. */
    async opened<T extends { close(): unknown }>(opening: T | Promise<T>): Promise<T> {
      const one = await opening
      closers.push(() => one.close())
      return one
    },
    async proxy(options: string | ProxyOptions): Promise<RunningProxy> {
      const one = await startProxy(typeof options === 'string' ? { yaml: options } : options)
      closers.push(() => one.close())
      return one
    },
  }
}

/** YAML of one route `all` to the given ports of 127.0.0.1; `service` and `route` are further lines of each. */
export function oneRoute(
  ports: readonly number[],
  own: { service?: string; route?: string; top?: string; scheme?: string } = {},
): string {
  const list = ports.map((port) => `"${own.scheme ?? 'http'}://127.0.0.1:${port}"`).join(', ')
  return `${own.top ?? ''}
services:
  shop:
    upstreams: [${list}]
    balance: round-robin
${indent(own.service, 4)}
routes:
  - name: all
    match: { pathPrefix: / }
    service: shop
${indent(own.route, 4)}
`
}

function indent(text: string | undefined, by: number): string {
  return (text ?? '')
    .split('\n')
    .map((line) => ' '.repeat(by) + line)
    .join('\n')
}
