import { createDnsProvider, type DnsRegistryOptions, type DnsService } from '../../src/registry/dns.ts'
import type { RegistryProvider } from '../../src/registry/provider.ts'
import { startDns } from './dns.ts'
import type { ProviderTestDeps, RegistryHarness, TestRecord } from './registry-conformance.ts'

/** A provider named `main` with the defaults of the configuration, but a minTtl of 500 ms. */
export function dnsProvider(
  server: string,
  services: Record<string, DnsService>,
  options: Partial<DnsRegistryOptions>,
  deps: ProviderTestDeps,
): RegistryProvider {
  const given = {
    servers: [server],
    services,
    minTtl: 500,
    maxTtl: 300_000,
    timeout: 1000,
    forbidAddresses: [],
  }
  return createDnsProvider('main', { ...given, ...options }, deps)
}

/** All names that the suite uses: a registry of type dns knows no others. */
const SERVICES = ['a', 'b', ...range(20).map((n) => `s${n + 1}`), ...range(50).map((n) => `m${n}`)]

function range(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n)
}

/** A DNS server with SRV records, one an instance, for the conformance suite. */
export const dnsHarness: RegistryHarness = {
  without: {
    permission: 'DNS has no rights to read',
    version: 'DNS has no place for it',
    identity: 'an instance is its address and port',
  },
  async start({ isDown = false } = {}) {
    const dns = await startDns({ isDown })
    const records = new Map<string, string>()
    let writing: Promise<void> | undefined
    /** Many edits are one new zone. */
    const publish = () => {
      writing ??= new Promise((resolve) => setImmediate(resolve)).then(() => {
        writing = undefined
        return dns.publish([...records.values(), 'host 1 A 10.0.0.7'])
      })
      return writing
    }
    const srv = ({ service }: Pick<TestRecord, 'service'>, port: number) =>
      `${service} 1 SRV 0 1 ${port} host`
    const services = Object.fromEntries(
      SERVICES.map((name) => [
        name,
        { name: `${name}.test`, type: 'srv', scheme: 'http' } satisfies DnsService,
      ]),
    )
    return {
      provider: (deps) => dnsProvider(dns.server, services, {}, deps),
      put(record) {
        records.set(`${record.service}/${record.id}`, srv(record, record.port))
        return publish()
      },
      remove({ service, id }) {
        records.delete(`${service}/${id}`)
        return publish()
      },
      async putMalformed(record) {
        records.set(`${record.service}/${record.id}`, srv(record, 0))
        await publish()
        return `${record.service}.test SRV: host.test is left out: port 0 is none`
      },
      kill: () => dns.kill9(),
      restart: () => dns.restart(),
      async wipe() {
        records.clear()
        await publish()
        await dns.restart()
      },
      stop: () => dns.stop(),
    }
  },
}
