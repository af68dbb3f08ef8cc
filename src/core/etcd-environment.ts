/** What the environment says of an etcd, in the variables of etcd's own client. */
export interface EtcdEnvironment {
  /** `ETCDCTL_ENDPOINTS`, with commas; without a scheme http. Default `http://127.0.0.1:2379`. */
  readonly endpoints: readonly string[]
  /** `ETCDCTL_USER`: `name`, or `name:password`. */
  readonly username?: string
  /** `ETCDCTL_PASSWORD`, or what is behind the colon. */
  readonly password?: string
  /** `ETCDCTL_CACERT`, `ETCDCTL_CERT`, `ETCDCTL_KEY`: PEM files. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** Reads them; empty ones are not there. */
export function etcdEnvironment(env: Readonly<Record<string, string | undefined>>): EtcdEnvironment & {
  readonly endpoints: string[]
} {
  const given = (name: string) => (env[name] === '' ? undefined : env[name])
  const user = given('ETCDCTL_USER')
  const colon = user?.indexOf(':') ?? -1
  const username = colon === -1 ? user : user?.slice(0, colon)
  const password = given('ETCDCTL_PASSWORD') ?? (colon === -1 ? undefined : user?.slice(colon + 1))
  const files = { ca: given('ETCDCTL_CACERT'), cert: given('ETCDCTL_CERT'), key: given('ETCDCTL_KEY') }
  const endpoints = (given('ETCDCTL_ENDPOINTS') ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')
    .map((one) => (/^https?:\/\//.test(one) ? one : `http://${one}`))
  return {
    endpoints: endpoints.length === 0 ? ['http://127.0.0.1:2379'] : endpoints,
    ...(username === undefined ? {} : { username }),
    ...(username === undefined || password === undefined ? {} : { password }),
    ...Object.fromEntries(Object.entries(files).filter(([, file]) => file !== undefined)),
  }
}
