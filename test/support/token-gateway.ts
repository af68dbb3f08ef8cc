import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { useCleanups } from './cleanup.ts'
import { rawExchange } from './raw.ts'
import { goodClaims, ISSUER, jwksOf, makeKey, makeToken, type TokenKey } from './tokens.ts'
import { wireTap } from './wire.ts'

export interface TokenGatewayOptions {
  /** Options of the filter beside `providers`; YAML flow. Default: none. */
  readonly filter?: string
  /** Keys of the provider beside issuer, audiences and jwksFile; YAML flow. */
  readonly provider?: string
  /** Default: one each for RS256, ES256 and EdDSA, with these names. */
  readonly keys?: readonly TokenKey[]
  /** Further routes; YAML list items. */
  readonly routes?: string
}

/** A gateway with one route behind the filter `jwt`, and what its service received. */
export async function startTokenGateway(
  { opened, later, proxy }: ReturnType<typeof useCleanups>,
  options: TokenGatewayOptions = {},
) {
  const keys = options.keys ?? ['RS256', 'ES256', 'EdDSA'].map((alg) => makeKey(alg, alg))
  const folder = await mkdtemp(join(tmpdir(), 'sluice-keys-'))
  later(() => rm(folder, { recursive: true }))
  const file = join(folder, 'jwks.json')
  await writeFile(file, jwksOf(...keys))
  const tap = await opened(wireTap())
  const upstreams = `upstreams: ["http://127.0.0.1:${tap.port}"]`
  const own = options.provider === undefined ? '' : `, ${options.provider}`
  const filter = options.filter === undefined ? '' : `, ${options.filter}`
  const gateway = await proxy(`
identityProviders:
  login: { type: jwks, issuer: "${ISSUER}", audiences: [shop], jwksFile: ${file}${own} }
routes:
  - name: guarded
    match: { pathPrefix: / }
    filters: [{ type: jwt, providers: [login]${filter} }]
    ${upstreams}
  - name: open
    match: { pathPrefix: /open }
    ${upstreams}
${options.routes ?? ''}
`)

  /** Sends these header lines (each with its end) and says what came of it. */
  async function send(lines: string, target = '/') {
    tap.forget()
    const answer = await rawExchange(
      gateway.port,
      `GET ${target} HTTP/1.1\r\nHost: a.example\r\n${lines}\r\n`,
    )
    return {
      ...answer,
      code: answer.status < 400 ? undefined : ((JSON.parse(answer.body) as { code: string }).code ?? ''),
      /** All that reached the service. */
      seen: tap.seen(),
    }
  }
  return {
    gateway,
    keys,
    file,
    send,
    /** The same with the token as a bearer token. */
    bearer: (token: string, target?: string) => send(`Authorization: Bearer ${token}\r\n`, target),
    key: (alg: string) => keys.find((each) => each.alg === alg) as TokenKey,
    /** One that passes, so that a refusal means something. */
    good: (own: Readonly<Record<string, unknown>> = {}, alg = keys[0]?.alg ?? '') =>
      makeToken(keys.find((each) => each.alg === alg) as TokenKey, goodClaims(own)),
  }
}

export type TokenGateway = Awaited<ReturnType<typeof startTokenGateway>>
