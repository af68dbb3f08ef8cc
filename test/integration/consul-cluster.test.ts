import { afterEach, expect, test } from 'vitest'
import { startConsulCluster, type TestCluster } from '../support/consul.ts'
import { type RegistryWatch, watchConsul } from '../support/registry-watch.ts'
import { waitFor } from '../support/wait.ts'

const TTL = { TTL: '10m', Status: 'passing' }
let cluster: TestCluster | undefined
let watched: RegistryWatch | undefined

afterEach(async () => {
  await watched?.stop()
  await cluster?.stop()
})

test('when the leader is killed no instance is lost, and changes go on with the next leader', async () => {
  cluster = await startConsulCluster()
  const [follower] = await cluster.followers()
  if (follower === undefined) return expect.unreachable('three servers have two followers')
  for (let i = 0; i < 5; i++) {
    await follower.register({ Name: `s${i}`, ID: `s${i}`, Address: '10.0.0.7', Port: 8080 + i, Check: TTL })
  }
  const own = watchConsul(follower.url, { wait: 1000 })
  watched = own
  const names = ['s0', 's1', 's2', 's3', 's4']
  await waitFor(() => names.every((name) => own.instances(name)[0]?.state === 'passing'))
  const from = own.snapshots.length

  const { url: killed } = await cluster.killLeader()
  const leader = await waitFor(
    async () => {
      const next = await cluster?.leader()
      return next?.url === killed ? undefined : next
    },
    { timeoutMs: 20_000, what: 'another leader' },
  )
  expect(leader.url).not.toBe(killed)

  await waitFor(async () => {
    await follower.fail('service:s3')
    return own.instances('s3')[0]?.state === 'critical'
  })
  await waitFor(() => own.status()?.state === 'live' && own.snapshot()?.failed.size === 0)
  for (const snapshot of own.snapshots.slice(from)) {
    for (const name of names) expect(snapshot.services.get(name)?.instances).toHaveLength(1)
  }
  // The node of the killed server is gone; what it ran was only consul itself.
  const state = own.state().services
  for (const name of names)
    expect(state.get(name)).toMatchObject({ source: 'live', instances: [{ id: name }] })
})

test('without a quorum what was read stays, and the status says that there is no leader', async () => {
  cluster = await startConsulCluster()
  const [follower] = await cluster.followers()
  if (follower === undefined) return expect.unreachable('three servers have two followers')
  await follower.register({ Name: 'web', ID: 'w1', Port: 81, Check: TTL })
  const own = watchConsul(follower.url, { wait: 300 })
  watched = own
  await waitFor(() => own.instances('web').length === 1)
  const others = cluster.nodes.filter(({ url }) => url !== follower.url)
  for (const { url } of others) await cluster.kill(url)
  await waitFor(() => own.status()?.lastError?.message.includes('no leader'), { timeoutMs: 20_000 })
  await waitFor(() => own.snapshot()?.failed.has('web'))
  expect(own.status()?.state).toBe('stale')
  expect(own.state().services.get('web')).toMatchObject({ source: 'stale', instances: [{ id: 'w1' }] })

  const late = watchConsul(follower.url, { wait: 300 })
  try {
    await waitFor(() => late.instances('web').length === 1, {
      what: 'a gateway that starts without a quorum',
    })
    expect(late.instances('web')).toMatchObject([{ id: 'w1', state: 'passing' }])
  } finally {
    await late.stop()
  }
})
