import { channel } from 'node:diagnostics_channel'
import { mkdtempSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { oneRoute, useCleanups } from '../support/cleanup.ts'
import { rawClient } from '../support/raw.ts'
import { rawServer } from '../support/scripted-server.ts'
import { wafGateway } from '../support/waf-gateway.ts'
import { waitFor } from '../support/wait.ts'

const cleanups = useCleanups()
const SQLI = `/?q=${encodeURIComponent("1' union select password from users--")}`
const LEAK =
  'You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version'

/** Takes the engine tens of milliseconds. */
const HEAVY: RequestInit = {
  method: 'POST',
  body: JSON.stringify(Array.from({ length: 500 }, (_, i) => `text number ${i}`)),
  headers: { 'content-type': 'application/json' },
}

function ruleFiles() {
  const path = join(mkdtempSync(join(tmpdir(), 'sluice-rules-')), 'own.conf')
  const write = (text: string) => {
    writeFileSync(`${path}.new`, text)
    renameSync(`${path}.new`, path)
  }
  const deny = (tenant: string) =>
    write(`SecRule ARGS:tenant "@streq ${tenant}" "id:1001,phase:2,deny,status:403,log,msg:'tenant'"\n`)
  return { path, write, deny }
}

describe('actions', () => {
  test('block: each hit in the log, with rule, variable, masked value and score; the verdict after them', async () => {
    const { send, lines, metric, gateway } = await wafGateway(cleanups)
    const answer = await send(`${SQLI}&card=4111111111111111%27%20or%201=1--`)
    expect(answer.status).toBe(403)
    const hits = lines.filter(({ text }) => text === 'waf hit')
    expect(hits.find(({ category }) => category === 'sqli')).toMatchObject({
      filter: 'waf',
      route: 'all',
      requestId: gateway.records[0]?.requestId,
      phase: 'request',
      ruleId: 942100,
      category: 'sqli',
      variable: expect.stringMatching(/^ARGS:/),
      // 3 points before: the Host is an address.
      score: 8,
    })
    for (const { value } of hits) expect(String(value).length).toBeLessThanOrEqual(80)
    expect(JSON.stringify(lines)).not.toContain('411111')
    expect(lines.at(-1)).toMatchObject({ text: 'waf: refused', ruleId: 949110, hits: hits.length })
    expect(metric('sluice_waf_hits_total', 'waf')).toBe(hits.length)
    expect(await gateway.record()).toMatchObject({
      status: 403,
      code: 'GW_WAF_BLOCKED',
      outcome: 'filter_refused',
    })
  })

  test('monitor: the request passes, the log says what would have been', async () => {
    const { send, lines, served, metric } = await wafGateway(cleanups, { filter: 'action: monitor' })
    expect((await send(SQLI)).status).toBe(200)
    expect(served).toHaveLength(1)
    await waitFor(() => lines.find(({ text }) => text === 'waf: would have refused'))
    expect(metric('sluice_waf_decisions_total', 'waf', 'would_block')).toBe(1)
  })

  test('monitor waits for nothing: requests pass though the engine does not keep up', async () => {
    const { send, metric } = await wafGateway(cleanups, {
      filter: 'action: monitor',
      engine: 'timeout: 10ms',
    })
    expect((await send('/', HEAVY)).status).toBe(200)
    await waitFor(() => metric('sluice_waf_decisions_total', 'waf', 'error') === 1)
  })

  test('off: nothing is loaded and nothing looked at', async () => {
    const { send, metric } = await wafGateway(cleanups, { filter: 'action: off' })
    expect((await send(SQLI)).status).toBe(200)
    expect(metric('sluice_waf_decisions_total')).toBe(0)
  })

  test('the dry run of all filters refuses nothing and says so in the record', async () => {
    const { send, gateway } = await wafGateway(cleanups, {
      filter: 'mode: dryRun',
      answer: (_, response) => void setTimeout(() => response.end('late'), 100),
    })
    expect((await send(SQLI)).status).toBe(200)
    expect((await gateway.record()).wouldRefuse).toEqual(['waf'])
  })
})

describe('settings', () => {
  test('paranoia: detection above blocking only logs', async () => {
    const target = '/?q=%27%27%27%27%27%27%27%27'
    const detected = await wafGateway(cleanups, { filter: 'paranoia: { blocking: 1, detection: 4 }' })
    expect((await detected.send(target)).status).toBe(200)
    expect(detected.lines.filter(({ text }) => text === 'waf hit').length).toBeGreaterThan(0)
    const strict = await wafGateway(cleanups, { filter: 'paranoia: { blocking: 4 }' })
    expect((await strict.send(target)).status).toBe(403)
  })

  test('a higher threshold lets one weak hit pass', async () => {
    const { send } = await wafGateway(cleanups, { filter: 'thresholds: { inbound: 1000 }' })
    expect((await send(SQLI)).status).toBe(200)
  })

  test('sampling: only the drawn share is looked at', async () => {
    let roll = 0
    const { send, metric } = await wafGateway(cleanups, { filter: 'sampling: 25', random: () => roll })
    expect((await send(SQLI)).status).toBe(403)
    roll = 0.3
    expect((await send(SQLI)).status).toBe(200)
    expect(metric('sluice_waf_decisions_total', 'waf', 'unsampled')).toBe(1)
  })

  test('exclusions by parameter and route', async () => {
    const here = await wafGateway(cleanups, {
      filter: 'exclusions: [{ rules: ["942000-942999"], parameter: q, route: all }]',
    })
    expect((await here.send(SQLI)).status).toBe(200)
    expect((await here.send(SQLI.replace('q=', 'p='))).status).toBe(403)
    const elsewhere = await wafGateway(cleanups, {
      filter: 'exclusions: [{ rules: ["942000-942999"], parameter: q, route: other }]',
    })
    expect((await elsewhere.send(SQLI)).status).toBe(403)
  })

  test('an exclusion of a rule that does not exist is told, and no mistake', async () => {
    const { lines } = await wafGateway(cleanups, { filter: 'exclusions: [{ rules: [123456] }]' })
    expect(lines.map(({ text }) => text)).toContain('waf: exclusions.0: there is no rule 123456')
  })

  test.each([
    [`exclusions: [{ rules: ["1' "] }]`, /write a number, a range/],
    [`exclusions: [{ rules: [942100], parameter: 'a",deny' }]`, /letters, digits/],
    [`methods: ['GET" "']`, /methods in capitals/],
    [`contentTypes: ['a/b|"']`, /media type/],
    ['paranoia: { blocking: 3, detection: 2 }', /detection cannot be below/],
    ['coreRules: false', /there must be ruleFiles/],
    ['ruleFiles: [/nowhere/a.conf]', /\/nowhere\/a\.conf: the rule file cannot be read/],
  ])('%s is refused', async (filter, message) => {
    await expect(wafGateway(cleanups, { filter })).rejects.toThrow(message)
  })

  test('an unsupported media type of a body counts, a listed one does not', async () => {
    const post = { method: 'POST', body: 'x', headers: { 'content-type': 'application/x-own' } }
    expect((await (await wafGateway(cleanups)).send('/', post)).status).toBe(403)
    const listed = await wafGateway(cleanups, { filter: 'contentTypes: [application/x-own]' })
    expect((await listed.send('/', post)).status).toBe(200)
  })
})

describe('rule files', () => {
  test('an edit is in force without a restart, and no request is lost or answered by half of it', async () => {
    const files = ruleFiles()
    files.deny('one')
    const { send, events } = await wafGateway(cleanups, { filter: `ruleFiles: ["${files.path}"]` })
    expect((await send('/?tenant=one')).status).toBe(403)
    expect((await send('/?tenant=two')).status).toBe(200)
    files.deny('two')
    let isDone = false
    const pairs: string[] = []
    const client = async () => {
      while (!isDone) {
        const pair = [(await send('/?tenant=one')).status, (await send('/?tenant=two')).status]
        pairs.push(pair.join())
      }
    }
    const clients = [client(), client(), client()]
    await waitFor(() => events.some(({ event }) => event === 'waf_rules_loaded'))
    await waitFor(async () => (await send('/?tenant=two')).status === 403)
    isDone = true
    await Promise.all(clients)
    // 403,403 and 200,200 can be seen by a pair that was sent around the change; 5xx by none.
    expect(pairs.every((pair) => /^(200|403),(200|403)$/.test(pair))).toBe(true)
    expect((await send('/?tenant=one')).status).toBe(200)
  })

  test('a broken edit is refused with its line, and the old rules stay', async () => {
    const files = ruleFiles()
    files.deny('one')
    const { send, events, lines } = await wafGateway(cleanups, { filter: `ruleFiles: ["${files.path}"]` })
    files.write('# a comment\nSecRule ARGS "@rx x" "id:7,phase:2,nonsense"\n')
    const event = await waitFor(() => events.find(({ event }) => event === 'waf_rules_refused'))
    expect(event).toMatchObject({ filter: 'waf', err: expect.stringContaining(`${files.path}:2:`) })
    expect(lines.some(({ text }) => text.includes('the old rules stay in force'))).toBe(true)
    expect((await send('/?tenant=one')).status).toBe(403)
    expect((await send(SQLI)).status).toBe(403)
    files.deny('two')
    await waitFor(async () => (await send('/?tenant=two')).status === 403)
  })

  test('a broken file at the start is no configuration', async () => {
    const files = ruleFiles()
    files.write('SecRule ARGS "@rx x" "id:7,phase:2,nonsense"\n')
    const started = wafGateway(cleanups, { filter: `ruleFiles: ["${files.path}"]` })
    await expect(started).rejects.toMatchObject({ code: 'GW_CONFIG_INVALID' })
    await expect(started).rejects.toThrow(`filter waf: ${files.path}:1:`)
  })

  test('a list beside the rule file is found and watched', async () => {
    const files = ruleFiles()
    const list = files.path.replace('own.conf', 'tenants.data')
    writeFileSync(list, 'one\n')
    files.write(
      `SecRule ARGS:tenant "@pmFromFile tenants.data" "id:1001,phase:2,deny,status:403,log,msg:'tenant'"\n`,
    )
    const { send } = await wafGateway(cleanups, { filter: `coreRules: false, ruleFiles: ["${files.path}"]` })
    expect((await send('/?tenant=one')).status).toBe(403)
    writeFileSync(list, 'two\n')
    await waitFor(async () => (await send('/?tenant=two')).status === 403)
  })
})

describe('an engine that fails', () => {
  const threads: Worker[] = []
  const note = (message: unknown) => void threads.push((message as { worker: Worker }).worker)
  const watchThreads = () => {
    threads.length = 0
    channel('worker_threads').subscribe(note)
    cleanups.later(() => channel('worker_threads').unsubscribe(note))
  }
  /** A thread dies while it works. */
  const statusesAround = async (onError: 'open' | 'closed') => {
    watchThreads()
    const waf = await wafGateway(cleanups, { filter: `onError: ${onError}` })
    const pending = Promise.all(Array.from({ length: 12 }, async () => (await waf.send('/', HEAVY)).status))
    await waitFor(() => waf.metric('sluice_waf_queue') > 0)
    await threads[0]?.terminate()
    return { ...waf, statuses: await pending }
  }

  test('closed: what it worked on is refused, nothing unseen reaches the service, it comes back', async () => {
    const { statuses, send, metric, events, served } = await statusesAround('closed')
    expect(statuses.filter((status) => status === 500).length).toBeGreaterThan(0)
    expect(served.length).toBe(statuses.filter((status) => status === 200).length)
    await waitFor(async () => (await send(SQLI)).status === 403)
    expect(metric('sluice_waf_worker_restarts_total')).toBe(1)
    expect(events.map(({ event }) => event)).toContain('waf_worker_back')
  })

  test('open: all pass', async () => {
    const { statuses, served } = await statusesAround('open')
    expect(new Set(statuses)).toEqual(new Set([200]))
    expect(served).toHaveLength(12)
  })

  test('a full queue: refused at once when closed, passed when open', async () => {
    for (const [onError, expected] of [
      ['closed', 500],
      ['open', 200],
    ] as const) {
      const { send } = await wafGateway(cleanups, { filter: `onError: ${onError}`, engine: 'queue: 1' })
      const statuses = await Promise.all(
        Array.from({ length: 20 }, async () => (await send('/', HEAVY)).status),
      )
      expect(statuses).toContain(200)
      expect(statuses).toContain(expected)
    }
  })

  test('an upgrade is judged like any request, and leaves nothing open', async () => {
    const service = await cleanups.opened(
      rawServer((socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello')
      }),
    )
    const gateway = await cleanups.proxy(
      oneRoute([service.port], {
        top: 'waf: { workers: 1 }',
        route: 'filters: [{ type: waf, response: { headers: true } }]',
      }),
    )
    const ask = (target: string) => {
      const client = rawClient(gateway.port)
      cleanups.later(() => client.socket.destroy())
      client.send(`GET ${target} HTTP/1.1\r\nHost: a.example\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n`)
      return client
    }
    const bad = ask(SQLI)
    await waitFor(() => /^HTTP\/1\.1 403 /.test(bad.text()))
    const good = ask('/')
    await waitFor(() => good.text().endsWith('hello'))
    good.socket.destroy()
    const { engine } = gateway.resources.waf()
    await waitFor(async () => (await engine.handles()).transactions === 0, { what: 'transactions to end' })
  })

  test('a client that leaves leaves nothing open', async () => {
    const { gateway, send, metric } = await wafGateway(cleanups, {
      filter: 'response: { headers: true }',
      answer: () => {},
    })
    const client = rawClient(gateway.port)
    client.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')
    await waitFor(() => metric('sluice_waf_decisions_total', 'waf', 'pass') === 1)
    client.socket.destroy()
    await waitFor(() => gateway.records.length === 1)
    expect((await send(SQLI)).status).toBe(403)
    await waitFor(async () => (await gateway.resources.waf().engine.handles()).transactions === 0)
  })
})

describe('answers', () => {
  const WITH_BODY = 'response: { body: { maxBytes: 4KiB } }'
  const html = (body: string | Buffer, headers: Record<string, string> = {}) => ({
    answer: ((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html', ...headers })
      response.end(body)
    }) as NonNullable<Parameters<typeof wafGateway>[1]>['answer'] & {},
  })

  test('a database error does not reach the client: 502, no part of it', async () => {
    const { send, gateway, lines } = await wafGateway(cleanups, {
      filter: WITH_BODY,
      ...html(`<p>${LEAK}</p>`),
    })
    const answer = await send('/')
    expect(answer.status).toBe(502)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(await answer.text()).not.toContain('SQL')
    expect(await gateway.record()).toMatchObject({
      status: 502,
      code: 'GW_WAF_ANSWER_BLOCKED',
      outcome: 'filter_refused',
      attempts: [{ status: 200 }],
    })
    expect(lines.at(-1)).toMatchObject({ text: 'waf: refused', phase: 'answer', ruleId: 959100 })
  })

  test('compressed by the service', async () => {
    const { send } = await wafGateway(cleanups, {
      filter: WITH_BODY,
      ...html(gzipSync(LEAK), { 'content-encoding': 'gzip' }),
    })
    expect((await send('/')).status).toBe(502)
  })

  test('compressed by the gateway, which comes after', async () => {
    const { send } = await wafGateway(cleanups, {
      before: '{ type: compression, minSize: 1B }',
      filter: WITH_BODY,
      ...html(LEAK),
    })
    expect((await send('/', { headers: { 'accept-encoding': 'gzip' } })).status).toBe(502)
  })

  test('a clean answer arrives whole, short or longer than what is judged, with its headers', async () => {
    for (const size of [10, 4096, 300_000]) {
      const body = 'all is well '.repeat(Math.ceil(size / 12)).slice(0, size)
      const { send, gateway } = await wafGateway(cleanups, {
        filter: WITH_BODY,
        ...html(body, { 'x-own': 'kept' }),
      })
      const answer = await send('/')
      expect([answer.status, answer.headers.get('x-own')]).toEqual([200, 'kept'])
      expect(await answer.text()).toBe(body)
      expect(await gateway.record()).toMatchObject({ outcome: 'ok', bytesOut: size })
    }
  })

  test('what comes after the judged part streams on', async () => {
    const { send } = await wafGateway(cleanups, {
      filter: WITH_BODY,
      ...html(`${' '.repeat(5000)}${LEAK}`),
    })
    expect(await (await send('/')).text()).toContain(LEAK)
  })

  test.each(['block', 'monitor'])(
    '%s: no transaction stays open, however the exchange ends',
    async (action) => {
      const { send, gateway } = await wafGateway(cleanups, {
        filter: `action: ${action}, ${WITH_BODY}`,
        answer: (request, response) => {
          response.writeHead(200, { 'content-type': 'text/html' })
          if (request.url === '/broken') setTimeout(() => response.destroy(), 20)
          else response.end(request.url === '/leak' ? LEAK : 'fine')
        },
      })
      const targets = ['/', '/leak', '/broken', SQLI, '/', '/leak']
      await Promise.all(
        targets.map((target) =>
          send(target)
            .then((answer) => answer.text())
            .catch(() => {}),
        ),
      )
      await send('/', { method: 'HEAD' })
      await waitFor(() => gateway.records.length === targets.length + 1)
      const { engine } = gateway.resources.waf()
      await waitFor(async () => (await engine.handles()).transactions === 0, { what: 'transactions to end' })
    },
  )

  test('other types, HEAD and 304 are not held', async () => {
    const image = await wafGateway(cleanups, {
      filter: WITH_BODY,
      ...html(LEAK, { 'content-type': 'image/png' }),
    })
    expect((await image.send('/')).status).toBe(200)
    const page = await wafGateway(cleanups, { filter: WITH_BODY, ...html('fine') })
    expect((await page.send('/', { method: 'HEAD' })).status).toBe(200)
  })

  test('a service that breaks off before the verdict: 502, not half an answer', async () => {
    const { send, gateway } = await wafGateway(cleanups, {
      filter: WITH_BODY,
      answer: (_, response) => {
        response.writeHead(200, { 'content-type': 'text/html' })
        response.write('half of')
        setTimeout(() => response.destroy(), 30)
      },
    })
    const answer = await send('/')
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([
      502,
      'GW_UPSTREAM_RESET',
    ])
    expect(await gateway.record()).toMatchObject({ outcome: 'reset', status: 502 })
  })

  test('monitor: the leak passes at once and is in the log', async () => {
    const { send, lines } = await wafGateway(cleanups, {
      filter: `action: monitor, ${WITH_BODY}`,
      ...html(LEAK),
    })
    expect(await (await send('/')).text()).toBe(LEAK)
    await waitFor(() =>
      lines.find(({ text, phase }) => text === 'waf: would have refused' && phase === 'answer'),
    )
  })

  test('an engine that dies before the answer: closed = 500, open = the answer', async () => {
    for (const [onError, expected] of [
      ['closed', 500],
      ['open', 200],
    ] as const) {
      const threads: Worker[] = []
      const note = (message: unknown) => void threads.push((message as { worker: Worker }).worker)
      channel('worker_threads').subscribe(note)
      cleanups.later(() => channel('worker_threads').unsubscribe(note))
      const { send } = await wafGateway(cleanups, {
        filter: `onError: ${onError}, ${WITH_BODY}`,
        answer: (_, response) => {
          void threads[0]?.terminate().then(() => {
            response.writeHead(200, { 'content-type': 'text/html' })
            response.end('fine')
          })
        },
      })
      expect((await send('/')).status).toBe(expected)
    }
  })
})
