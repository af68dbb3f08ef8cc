import { startConsul } from './consul.ts'
import type { RegistryHarness } from './registry-conformance.ts'
import { consulProvider } from './registry-watch.ts'

const READ = 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'

/** Consul for the conformance suite. Rights are those of a token's policy. */
export const consulHarness: RegistryHarness = {
  async start({ isGuarded = false, isDown = false } = {}) {
    const consul = await startConsul({ acl: isGuarded, isDown })
    const policy = isGuarded ? await consul.createPolicy('gateway', READ) : ''
    const token = isGuarded ? await consul.createToken(policy) : undefined
    return {
      // A blocked read keeps the rights that it began with: they show when it ends.
      provider: (deps) => consulProvider(consul.url, { wait: 1000, token }, deps),
      put: ({ service, id, address, port, version }) =>
        consul.register({
          Name: service,
          ID: id,
          Address: address,
          Port: port,
          Meta: version === undefined ? {} : { version },
        }),
      remove: ({ id }) => consul.deregister(id),
      async putMalformed({ service, id }) {
        await consul.register({ Name: service, ID: id, Port: 0 })
        return id
      },
      kill: () => consul.kill9(),
      restart: () => consul.restart(),
      wipe: () => consul.restart({ wipe: true }),
      revoke: () => consul.updatePolicy(policy, 'gateway', 'node_prefix "" { policy = "read" }'),
      grant: () => consul.updatePolicy(policy, 'gateway', READ),
      stop: () => consul.stop(),
    }
  },
}
