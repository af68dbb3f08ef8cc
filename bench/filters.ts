import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import bcrypt from 'bcryptjs'
import { startGateway } from '../test/support/gateway.ts'
import { freePort } from '../test/support/ports.ts'
import { startRedis } from '../test/support/redis.ts'
import { SECRET, signed } from '../test/support/sign.ts'
import { goodClaims, ISSUER, jwksOf, makeKey, makeToken } from '../test/support/tokens.ts'
import { cpuSeconds, machineLine, median, scratch, startNginx, wrk } from './support.ts'

/**
 * CPU of each filter alone: one gateway with a route for each, asked in turns, beside a route without filters. Threads
 * of the gateway (WAF) count, Redis does not.
 *
 *   node bench/filters.ts [seconds per round] [rounds]
 */
const seconds = Number(process.argv[2] ?? 1)
const rounds = Number(process.argv[3] ?? 5)
const KEY = 'a-key-of-an-api-that-is-long-enough'
const BODY = 'x'.repeat(1024)

interface Case {
  readonly name: string
  readonly filters: string
  /** Header lines of the requests. */
  readonly headers?: Readonly<Record<string, string>>
}

const token = makeKey('RS256', 'k1')
const bearer = {
  authorization: `Bearer ${makeToken(token, goodClaims({ exp: Math.floor(Date.now() / 1000) + 3600 }))}`,
}
const basicHeader = { authorization: `Basic ${Buffer.from('ada:secret').toString('base64')}` }
const signature = signed({ path: '/hmac', authority: 'a.example' }).headers
const keyEntry = `{ id: k1, sha256: "${createHash('sha256').update(KEY).digest('hex')}", owner: ada }`

const cases: readonly Case[] = [
  { name: 'none', filters: '' },
  { name: 'request-id', filters: '{ type: request-id }' },
  { name: 'headers', filters: '{ type: headers, response: { set: { x-a: b } } }' },
  { name: 'ip-deny', filters: '{ type: ip-deny, networks: [192.0.2.0/24] }' },
  { name: 'cors', filters: '{ type: cors, origins: ["https://a.example"] }' },
  { name: 'security-headers', filters: '{ type: security-headers, preset: api }' },
  { name: 'size-limit', filters: '{ type: size-limit, requestBody: 1MiB }' },
  { name: 'jwt', filters: '{ type: jwt, providers: [login], headers: { x-user: id } }', headers: bearer },
  {
    name: 'api-key',
    filters: `{ type: api-key, keys: [${keyEntry}], headers: { x-user: id } }`,
    headers: { 'x-api-key': KEY },
  },
  {
    name: 'basic',
    filters: `{ type: basic, users: [{ name: ada, hash: "${await bcrypt.hash('secret', 4)}" }] }`,
    headers: basicHeader,
  },
  {
    name: 'hmac',
    filters: `{ type: hmac, replay: "off", keys: [{ id: k1, algorithm: hmac-sha256, secret: "${SECRET}" }] }`,
    headers: signature,
  },
  {
    name: 'acl',
    filters: '{ type: acl, rules: [{ deny: { networks: [192.0.2.0/24] } }, { allow: { methods: [GET] } }] }',
  },
  {
    name: 'forward-auth, remembered',
    filters: '{ type: forward-auth, url: "AUTH", cache: { ttl: 1m } }',
    headers: bearer,
  },
  { name: 'rate-limit', filters: '{ type: rate-limit, rules: [{ name: r, rate: 1000000/1s }] }' },
  {
    name: 'rate-limit, Redis',
    filters: '{ type: rate-limit, store: limits, rules: [{ name: r, rate: 1000000/1s }] }',
  },
  { name: 'quota', filters: '{ type: quota, period: day, limit: 1000000000 }' },
  { name: 'concurrency', filters: '{ type: concurrency, limit: 1000 }' },
  { name: 'concurrency, adaptive', filters: '{ type: concurrency, adaptive: { min: 64, initial: 100 } }' },
  { name: 'waf', filters: '{ type: waf }' },
  {
    name: 'jwt, acl, rate-limit, concurrency',
    filters:
      '{ type: jwt, providers: [login], headers: { x-user: id } }, { type: acl, rules: [{ allow: { methods: [GET] } }] }, { type: rate-limit, rules: [{ name: r, rate: 1000000/1s }] }, { type: concurrency, limit: 1000 }',
    headers: bearer,
  },
]
const pathOf = (name: string) => `/${name.replaceAll(/[^a-z-]+/g, '-')}`

const upstreamPort = await freePort()
const upstream = await startNginx(
  'upstream',
  upstreamPort,
  `server { listen 127.0.0.1:${upstreamPort}; location / { default_type text/plain; return 200 "${BODY}"; } }`,
)
const redis = await startRedis()
const routes = cases.map(({ name, filters }) => {
  const chain = filters.replaceAll('AUTH', `http://127.0.0.1:${upstreamPort}/auth`)
  return `  - { name: "${pathOf(name).slice(1)}", match: { pathPrefix: "${pathOf(name)}" }, filters: [${chain}], upstreams: ["http://127.0.0.1:${upstreamPort}"] }`
})
const gateway = await startGateway({
  yaml: `log: { access: { enabled: false } }
stores: { limits: { type: redis, url: "redis://127.0.0.1:${redis.port}", commandTimeout: 1s } }
identityProviders: { login: { type: jwks, issuer: "${ISSUER}", audiences: [shop], jwksFile: keys.json } }
routes:
${routes.join('\n')}
`,
  prepare: (folder) => writeFileSync(join(folder, 'keys.json'), jwksOf(token)),
})

const folder = scratch()
function scriptOf({ name, headers = {} }: Case): string {
  const file = join(folder, `${pathOf(name).slice(1)}.lua`)
  const lines = Object.entries({ Host: 'a.example', ...headers }).map(
    ([header, value]) => `wrk.headers["${header}"] = [==[${value}]==]`,
  )
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

const samples = new Map(cases.map(({ name }) => [name, [] as number[]]))
for (let round = -1; round < rounds; round++) {
  for (const each of cases) {
    const before = cpuSeconds(gateway.pid)
    const url = gateway.publicUrl + pathOf(each.name)
    const { requests } = wrk(url, { seconds, connections: 32, script: scriptOf(each) })
    const after = cpuSeconds(gateway.pid)
    const used = after.user - before.user + after.system - before.system
    // The first round warms up.
    if (round >= 0) samples.get(each.name)?.push((used / requests) * 1e6)
  }
}
const bare = median(samples.get('none') ?? [])
console.log(
  `${machineLine()}; ${rounds} rounds of ${seconds} s each, 32 connections, 1 KiB answers; medians\n`,
)
console.log('| filter | CPU µs/request | more than none | × none |')
console.log('|---|---|---|---|')
for (const [name, all] of samples) {
  const used = median(all)
  console.log(`| ${name} | ${used.toFixed(1)} | ${(used - bare).toFixed(1)} | ${(used / bare).toFixed(2)} |`)
}
upstream.stop()
await gateway.stop()
await redis.stop()
process.exit(0)
