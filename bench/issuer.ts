import { startGateway } from '../test/support/gateway.ts'
import { startIssuer } from '../test/support/issuer.ts'
import { type LoadRequest, startLoad } from '../test/support/load.ts'
import { httpServer } from '../test/support/scripted-server.ts'
import { goodClaims, ISSUER, makeKey, makeToken, type TokenKey } from '../test/support/tokens.ts'
import { machineLine } from './support.ts'

/**
 * Whether a valid token is ever refused: an issuer that rotates its keys, is out of reach for minutes, and comes back
 * with a new key, under load. The gateway asks for keys every 20 s, so that it asks in vain many times.
 *
 *   node bench/issuer.ts [seconds out of reach] [requests per second]
 */
const downSeconds = Number(process.argv[2] ?? 300)
const rps = Number(process.argv[3] ?? 100)

const [k1, k2, k3] = [makeKey('RS256', 'k1'), makeKey('ES256', 'k2'), makeKey('RS256', 'k3')]
const issuer = await startIssuer(k1)
const service = await httpServer((_request, response) => void response.end('ok'))
const gateway = await startGateway({
  yaml: `log: { access: { enabled: false } }
identityProviders:
  login: { type: jwks, issuer: "${ISSUER}", audiences: [shop], jwksUrl: "${issuer.jwksUrl}", keyCache: { refresh: 20s } }
routes:
  - { name: all, match: { pathPrefix: / }, filters: [{ type: jwt, providers: [login] }], upstreams: ["http://127.0.0.1:${service.port}"] }
`,
})

/** Different tokens, so that signatures are checked and not only remembered. */
function requestsWith(...keys: readonly TokenKey[]): LoadRequest[] {
  return Array.from({ length: 500 }, (_, i) => ({
    method: 'GET',
    url: `${gateway.publicUrl}/`,
    headers: {
      authorization: `Bearer ${makeToken(
        keys[i % keys.length] as TokenKey,
        goodClaims({ sub: `user-${i}`, exp: Math.floor(Date.now() / 1000) + 3600 }),
      )}`,
    },
  }))
}

console.log(`${machineLine()}; ${rps} requests/s, 500 tokens a phase\n`)
console.log('| phase | s | requests | refused | fetches of keys |')
console.log('|---|---|---|---|---|')
async function phase(name: string, seconds: number, ...keys: readonly TokenKey[]): Promise<void> {
  const before = issuer.fetches()
  const load = startLoad({ requests: requestsWith(...keys), rps, maxMs: seconds * 1000 })
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
  const { sent, failures } = await load.stop()
  console.log(`| ${name} | ${seconds} | ${sent} | ${failures.length} | ${issuer.fetches() - before} |`)
  for (const failure of failures.slice(0, 3)) console.error(JSON.stringify(failure))
}

await phase('one key', 10, k1)
issuer.publish(k1, k2)
await phase('a second key is published and used at once', 10, k1, k2)
issuer.publish(k2)
await phase('the first is withdrawn', 30, k2)
issuer.answer = (request) => void request.socket.destroy()
await phase('the issuer is out of reach', downSeconds, k2)
issuer.answer = undefined
issuer.publish(k2, k3)
await phase('it is back with a third key, used at once', 30, k2, k3)

await gateway.stop()
await service.close()
await issuer.close()
process.exit(0)
