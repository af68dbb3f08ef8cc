/** An instance, as far as the choice of a mirror's target looks at it. */
interface Versioned {
  readonly version?: string
}

/** Those of one version; all when none is asked for. */
export function ofVersion<T extends Versioned>(
  instances: readonly T[],
  version: string | undefined,
): readonly T[] {
  return version === undefined ? instances : instances.filter((one) => one.version === version)
}

/** Those of every other version: who answers clients, when a version of the same service is the mirror. */
export function notOfVersion<T extends Versioned>(
  instances: readonly T[],
  version: string | undefined,
): readonly T[] {
  return version === undefined ? instances : instances.filter((one) => one.version !== version)
}

/** One of them at random; undefined when there is none. `random`: in [0, 1). */
export function drawInstance<T>(instances: readonly T[], random: number): T | undefined {
  return instances[Math.floor(random * instances.length)]
}

/** `shop.example.com:8080` with a suffix behind the name; an address stays as it is. */
export function shadowHost(host: string, suffix: string): string {
  const [, name = host, port = ''] = /^([^:[\]]+)(:\d+)?$/.exec(host) ?? []
  if (name.length + port.length !== host.length || /^[\d.]+$/.test(name)) return host
  return `${name}${suffix}${port}`
}
