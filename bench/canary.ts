import { bucketOf, seedOf } from '../src/routing/bucket.ts'
import { decideSide, type SideInput } from '../src/routing/canary.ts'
import type { Table } from '../src/routing/table.ts'
import { aLane, aMatch, aPrincipal, aRule, releaseTable } from '../test/support/canary.ts'
import { machineLine, median } from './support.ts'

/**
 * Canary rules: how exact the split is over 100,000 users, who moves when a percentage grows, and what the decision
 * costs a request.
 *
 *   node bench/canary.ts
 */
const USERS = 100_000
const ROUNDS = 9
const CALLS = 200_000

const KINDS: Readonly<Record<string, (i: number) => string>> = {
  'numbered users': (i) => `user-${i}`,
  addresses: (i) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`,
  'random ids': (i) => {
    const id = (Math.imul(i, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0')
    return `${id}${[...id].reverse().join('')}${id}`
  },
}

const input = (user: string, more: Partial<SideInput> = {}): SideInput => ({
  header: () => undefined,
  query: '',
  clientIp: '192.0.2.1',
  isTrustedPeer: false,
  principal: aPrincipal(user),
  ...more,
})

const PLACE = { route: 'catalog', service: 'catalog' }

function onCanary(table: Table, keyOf: (i: number) => string): Uint8Array {
  const on = new Uint8Array(USERS)
  for (let i = 0; i < USERS; i++) {
    on[i] = decideSide(input(keyOf(i)), table.canaries, PLACE)?.side?.name === 'canary' ? 1 : 0
  }
  return on
}

const sum = (on: Uint8Array): number => on.reduce((total, one) => total + one, 0)

async function split(): Promise<void> {
  console.log('| keys | percent | on the canary | error | by chance (1 sd) |\n|---|---|---|---|---|')
  for (const [kind, keyOf] of Object.entries(KINDS)) {
    for (const percent of [100, 500, 5000]) {
      const share = sum(onCanary(await releaseTable([aRule('v2', percent)]), keyOf)) / USERS
      const p = percent / 10_000
      const chance = Math.sqrt((p * (1 - p)) / USERS)
      const points = (value: number) => `${(value * 100).toFixed(3)} pp`
      console.log(
        `| ${kind} | ${percent / 100} % | ${(share * 100).toFixed(3)} % | ${points(share - p)} | ${points(chance)} |`,
      )
    }
  }
}

async function growth(): Promise<void> {
  const [five, ten] = [
    onCanary(await releaseTable([aRule('v2', 500)]), KINDS['numbered users'] as (i: number) => string),
    onCanary(await releaseTable([aRule('v2', 1000)]), KINDS['numbered users'] as (i: number) => string),
  ]
  let [came, left] = [0, 0]
  for (let i = 0; i < USERS; i++) {
    if (five[i] === 0 && ten[i] === 1) came++
    if (five[i] === 1 && ten[i] === 0) left++
  }
  console.log(`\n5 % -> 10 %: ${came} of ${USERS} users came to the canary, ${left} left it`)
}

/** The median over rounds, ns of CPU a call: on a busy machine the clock on the wall says little. */
function cost(call: (i: number) => unknown): number {
  let used = 0
  const rounds = Array.from({ length: ROUNDS }, () => {
    const start = process.threadCpuUsage()
    for (let i = 0; i < CALLS; i++) if (call(i) !== undefined) used++
    const { user, system } = process.threadCpuUsage(start)
    return ((user + system) * 1000) / CALLS
  })
  if (used < 0) console.log(used)
  return median(rounds.slice(2))
}

async function costs(): Promise<void> {
  const exact = (name: string, value: string) => [{ name, match: { kind: 'exact', value } as const }]
  const pins = [
    aMatch('canary', { users: Array.from({ length: 10_000 }, (_, i) => `tester-${i}`) }),
    aMatch('canary', { headers: exact('x-release', 'canary'), isTrustedOnly: true }),
    aMatch('canary', { cookies: exact('beta', '1') }),
    aMatch('stable', { claims: exact('tier', 'platinum') }),
    aMatch('canary', { networks: ['10.20.0.0/16'] }),
  ]
  const cookieKeys = [
    { kind: 'claim', name: 'sub' },
    { kind: 'cookie', name: 'cid' },
  ] as const
  const cookies = {
    header: (name: string) => (name === 'cookie' ? 'theme=dark; cid=0af7651916cd43dd' : undefined),
  }
  const one = await releaseTable([aRule('v2', 500)])
  const cases: readonly (readonly [string, Table, (i: number) => SideInput])[] = [
    [
      'no rule for the service',
      await releaseTable([aRule('v2', 500, { service: 'cart' })]),
      (i) => input(`u-${i}`),
    ],
    ['one rule, key from a claim', one, (i) => input(`u-${i}`)],
    [
      'one rule, key from a cookie',
      await releaseTable([aRule('v2', 500, { keys: cookieKeys })]),
      () => input('', { ...cookies, principal: undefined }),
    ],
    [
      'one rule with five pins (10,000 testers)',
      await releaseTable([aRule('v2', 500, { match: pins })]),
      (i) => input(`u-${i}`),
    ],
    [
      'two rules and a lane',
      await releaseTable([aLane('blue', 100), aRule('v2', 500), aRule('v3', 500)]),
      (i) => input(`u-${i}`),
    ],
  ]
  console.log('\n| decideSide | ns of CPU |\n|---|---|')
  const seed = seedOf('rule:catalog-v2')
  const ids = Array.from({ length: 1024 }, (_, i) => `${i}7651916cd43dd8448eb211c80319c`.slice(0, 32))
  console.log(
    `| bucket alone, 32 characters | ${cost((i) => bucketOf(ids[i & 1023] as string, seed)).toFixed(0)} |`,
  )
  for (const [name, table, make] of cases) {
    const inputs = Array.from({ length: 1024 }, (_, i) => make(i))
    const ns = cost((i) => decideSide(inputs[i & 1023] as SideInput, table.canaries, PLACE))
    console.log(`| ${name} | ${ns.toFixed(0)} |`)
  }
}

console.log(`${machineLine()}\n`)
await split()
await growth()
await costs()
