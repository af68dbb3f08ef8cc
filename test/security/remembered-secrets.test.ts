import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { rawExchange } from '../support/raw.ts'
import { httpServer } from '../support/scripted-server.ts'
import { waitFor } from '../support/wait.ts'

const { opened, proxy } = useCleanups()

/**
 * What is remembered of requests and answers (recorder, mirror report, contracts) is shown by the admin API: whoever may
 * read it must not get at the accounts of clients.
 */
test('no credential and no value of an answer gets into what is remembered', async () => {
  const body = (owner: string) => JSON.stringify({ owner, sessionToken: 'GEHEIM-7', iban: 'GEHEIM-8', n: 1 })
  const service = (owner: string) =>
    httpServer((_request, response) => {
      response.setHeader('content-type', 'application/json').setHeader('set-cookie', 'sid=GEHEIM-9')
      response.end(body(owner))
    })
  const [primary, mirror] = [await opened(service('GEHEIM-Ann')), await opened(service('GEHEIM-Bob-Long'))]
  const gateway = await proxy(`
services:
  shop: { upstreams: ["http://127.0.0.1:${primary.port}"] }
  next: { upstreams: ["http://127.0.0.1:${mirror.port}"] }
routes:
  - name: shop
    match: { pathPrefix: / }
    service: shop
    mirror: { service: next, compare: {} }
    contract: { sample: 1 }
`)
  const fields = [
    'Host: a.example',
    'Authorization: Bearer GEHEIM-1',
    'Cookie: sid=GEHEIM-2',
    'X-Api-Key: GEHEIM-3',
    'Proxy-Authorization: Basic GEHEIM-4',
  ].join('\r\n')
  await rawExchange(
    gateway.port,
    `GET /a?access_token=GEHEIM-5&x=1&sig=GEHEIM-6 HTTP/1.1\r\n${fields}\r\n\r\n`,
  )
  await waitFor(() => gateway.mirrors.view()[0]?.report?.compared === 1)
  await waitFor(() => gateway.contracts.view()[0]?.versions[0]?.answers === 1)
  expect(gateway.mirrors.view()[0]?.report?.paths).toMatchObject([{ path: '$.owner', kinds: { value: 1 } }])
  const requests = gateway.recorder.requests()
  expect(requests).toMatchObject([
    { target: '/a?access_token=redacted&x=1&sig=redacted', client: '127.0.0.0' },
  ])
  const all = JSON.stringify([requests, gateway.mirrors.view(), gateway.contracts.view()])
  expect(all).not.toContain('GEHEIM')
})

test('a stranger cannot call its request a copy, so that a service does less for it', async () => {
  let seen: unknown = 'nothing'
  const primary = await opened(
    httpServer((request, response) => {
      seen = request.headers['x-sluice-mirror']
      response.end()
    }),
  )
  const gateway = await proxy(
    `routes: [{ name: all, match: { pathPrefix: / }, upstreams: ["http://127.0.0.1:${primary.port}"] }]`,
  )
  await rawExchange(gateway.port, 'GET / HTTP/1.1\r\nHost: a.example\r\nX-Sluice-Mirror: shop\r\n\r\n')
  expect(seen).toBeUndefined()
})
