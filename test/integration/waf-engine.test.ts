import { channel } from 'node:diagnostics_channel'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { beforeAll, describe, expect, test } from 'vitest'
import type { RuleSet, WafEngine } from '../../src/waf/engine.ts'
import { Inspector } from '../../src/waf/inspector.ts'
import { findLibrary } from '../../src/waf/library.ts'
import { buildRules, transactionId } from '../../src/waf/rules.ts'
import type { InspectedRequest } from '../../src/waf/types.ts'
import { useCleanups } from '../support/cleanup.ts'
import { anEngine, aPost, aRequest, requireCoreRules, ruleOptions } from '../support/waf.ts'
import { waitFor } from '../support/wait.ts'

const { later } = useCleanups()
beforeAll(requireCoreRules)

const started = (...args: Parameters<typeof anEngine>) => {
  const noted = anEngine(...args)
  later(() => noted.engine.close())
  return noted
}

const judge = async (engine: WafEngine, set: RuleSet, request: InspectedRequest) =>
  (await engine.inspect(set, request, false).verdict).verdict

const SQLI = `/?q=${encodeURIComponent("1' union select password from users--")}`

function ruleFile(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'sluice-rules-')), 'own.conf')
  writeFileSync(path, text)
  return path
}

describe('verdicts', () => {
  test('an attack is blocked with rule, score and hits; a clean request is not', async () => {
    const { engine } = started()
    const set = await engine.acquire(buildRules(ruleOptions()), 1)
    expect(await judge(engine, set, aRequest({ uri: '/?q=shoes' }))).toEqual({
      isBlocked: false,
      ruleId: 0,
      score: 0,
      hits: [],
    })
    const verdict = await judge(engine, set, aRequest({ uri: SQLI }))
    expect(verdict).toMatchObject({ isBlocked: true, ruleId: 949110, score: 20 })
    expect(verdict.hits.at(0)).toMatchObject({
      ruleId: 942100,
      category: 'sqli',
      variable: 'ARGS:q',
      score: 5,
    })
    expect(verdict.hits.at(-1)?.score).toBe(20)
    expect(verdict.hits.map(({ category }) => category)).toEqual(['sqli', 'sqli', 'sqli', 'sqli'])
  })

  test('what a secret parameter holds is not in the hits', async () => {
    const { engine } = started()
    const set = await engine.acquire(buildRules(ruleOptions()), 1)
    const verdict = await judge(
      engine,
      set,
      aRequest({ uri: `/?password=${encodeURIComponent("hunter2' or 1=1 union select 1 from a--")}` }),
    )
    expect(verdict.isBlocked).toBe(true)
    expect(JSON.stringify(verdict)).not.toContain('hunter2')
    expect(verdict.hits[0]).toMatchObject({ variable: 'ARGS:password', value: '***' })
  })

  test('JSON, form and multipart bodies are looked into', async () => {
    const { engine } = started()
    const set = await engine.acquire(buildRules(ruleOptions()), 1)
    const attack = '<script>alert(document.cookie)</script>'
    const multipart = `--b\r\nContent-Disposition: form-data; name="t"\r\n\r\n${attack}\r\n--b--\r\n`
    for (const request of [
      aPost('application/json', JSON.stringify({ a: [{ text: attack }] })),
      aPost('application/x-www-form-urlencoded', `text=${encodeURIComponent(attack)}`),
      aPost('multipart/form-data; boundary=b', multipart),
    ]) {
      const verdict = await judge(engine, set, request)
      expect(verdict.isBlocked).toBe(true)
      expect(verdict.hits.some(({ category }) => category === 'xss')).toBe(true)
    }
  })

  test('a body that cannot be parsed, or has too many fields, is blocked; a cut one is not', async () => {
    const { engine } = started()
    const set = await engine.acquire(buildRules(ruleOptions()), 1)
    expect(await judge(engine, set, aPost('application/json', '{"a":'))).toMatchObject({
      isBlocked: true,
      ruleId: 8_880_022,
      hits: [{ category: 'body' }],
    })
    const many = JSON.stringify(Array.from({ length: 1200 }, (_, i) => i))
    expect(await judge(engine, set, aPost('application/json', many))).toMatchObject({ ruleId: 8_880_020 })
    const cut = aPost('application/json', '{"a":', { id: transactionId('r-1', 'shop', true) })
    expect(await judge(engine, set, cut)).toMatchObject({ isBlocked: false })
  })

  test('an answer is judged in the transaction of its request', async () => {
    const { engine } = started()
    const options = ruleOptions({ answerBody: { maxBytes: 65_536, types: ['text/html'] } })
    const set = await engine.acquire(buildRules(options), 1)
    const { transaction } = await engine.inspect(set, aRequest(), true).verdict
    if (transaction === undefined) throw new TypeError('no transaction')
    expect((await engine.handles()).transactions).toBe(1)
    const head = { status: 500, httpVersion: '1.1', headers: ['Content-Type', 'text/html'] }
    expect(await engine.answer(transaction, head)).toMatchObject({ isBlocked: false })
    const leak = Buffer.from(
      'You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version',
    )
    expect(await engine.answerBody(transaction, new Uint8Array(leak))).toMatchObject({
      isBlocked: true,
      ruleId: 959100,
      hits: [{ category: 'leakage' }],
    })
    engine.end(transaction)
    expect(await engine.handles()).toEqual({ sets: 1, transactions: 0 })
  })
})

describe('rule sets', () => {
  test('equal rules are loaded once and freed after the last user', async () => {
    const { engine } = started({ workers: 2 })
    const [first, second] = [
      await engine.acquire(buildRules(ruleOptions()), 1),
      await engine.acquire(buildRules(ruleOptions()), 1),
    ]
    expect(second.id).toBe(first.id)
    expect((await engine.handles()).sets).toBe(2)
    first.release()
    first.release()
    expect((await engine.handles()).sets).toBe(2)
    second.release()
    expect((await engine.handles()).sets).toBe(0)
  })

  test('a broken file is refused with file, line and column in every worker, and good rules load after it', async () => {
    const { engine } = started({ workers: 2 })
    const path = ruleFile(
      'SecRule ARGS "@rx x" "id:1,phase:2,pass"\nSecRule ARGS "@rx y" "id:2,phase:2,nonsense"\n',
    )
    const bad = engine.acquire(buildRules(ruleOptions({ files: [path] })), 1)
    await expect(bad).rejects.toMatchObject({ code: 'GW_CONFIG_INVALID' })
    await expect(bad).rejects.toThrow(new RegExp(`${path}:2:\\d+: Expecting an action`))
    expect((await engine.handles()).sets).toBe(0)
    const set = await engine.acquire(buildRules(ruleOptions()), 1)
    expect((await judge(engine, set, aRequest({ uri: SQLI }))).isBlocked).toBe(true)
  })

  test.each([
    'SecRuleUpdateTargetById 942100 "!ARGS:q"',
    'SecRule ARGS "@rx never ends',
    'SecAction "id:5,msg:\'abc',
    'SecRule ARGS:x',
    'SecFoo Bar',
  ])('rules load and work after %s', async (text) => {
    const { engine } = started()
    await engine
      .acquire(buildRules(ruleOptions({ crs: undefined, files: [ruleFile(text)] })), 1)
      .catch(() => {})
    const set = await engine.acquire(buildRules(ruleOptions()), 1)
    expect((await judge(engine, set, aRequest({ uri: SQLI }))).ruleId).toBe(949110)
  })

  test('files of the rule set may end without a line end', async () => {
    const { engine } = started()
    const crs = mkdtempSync(join(tmpdir(), 'sluice-crs-'))
    writeFileSync(join(crs, 'a.conf'), 'SecRuleUpdateTargetById 942100 "!ARGS:q"')
    writeFileSync(join(crs, 'b.conf'), 'SecRule ARGS "@streq x" "id:1,phase:2,deny,status:403"')
    const set = await engine.acquire(buildRules(ruleOptions({ crs })), 1)
    expect((await judge(engine, set, aRequest({ uri: '/?a=x' }))).isBlocked).toBe(true)
  })

  test('rules of one’s own refuse by themselves', async () => {
    const { engine } = started()
    const path = ruleFile(
      `SecRule ARGS:tenant "@streq evil" "id:1001,phase:2,deny,status:403,log,msg:'no'"\n`,
    )
    const set = await engine.acquire(buildRules(ruleOptions({ files: [path] })), 1)
    expect(await judge(engine, set, aRequest({ uri: '/?tenant=evil' }))).toMatchObject({
      isBlocked: true,
      ruleId: 1001,
      hits: [{ category: 'custom', message: 'no' }],
    })
  })

  test('the handles stay as few as they were over thousands of transactions', async () => {
    const { engine } = started()
    const set = await engine.acquire(buildRules(ruleOptions()), 1)
    const round = async () => {
      for (let i = 0; i < 40; i++) {
        await Promise.all(
          Array.from({ length: 25 }, (_, n) => judge(engine, set, aRequest({ uri: n % 5 ? '/?a=b' : SQLI }))),
        )
      }
      return process.memoryUsage.rss()
    }
    await round()
    const before = await round()
    const after = await round()
    expect((after - before) / 1024 / 1024).toBeLessThan(30)
    expect(await engine.handles()).toEqual({ sets: 1, transactions: 0 })
  })
})

test('engines that come and go do not take the library from each other', async () => {
  const source = buildRules(ruleOptions({ crs: undefined, body: undefined }))
  for (let i = 0; i < 5; i++) {
    const { engine } = anEngine({ workers: 4 })
    const set = await engine.acquire(source, 1)
    const verdicts = await Promise.all(Array.from({ length: 8 }, () => judge(engine, set, aRequest())))
    expect(verdicts.some(({ isBlocked }) => isBlocked)).toBe(false)
    await engine.close()
  }
})

test('a request that nobody waits for any more leaves no transaction', async () => {
  const { engine } = started()
  const set = await engine.acquire(buildRules(ruleOptions()), 1)
  const inspections = Array.from({ length: 4 }, () => engine.inspect(set, aRequest({ uri: SQLI }), true))
  const verdicts = Promise.allSettled(inspections.map(({ verdict }) => verdict))
  for (const { cancel } of inspections) cancel()
  for (const { status } of await verdicts) expect(status).toBe('rejected')
  await waitFor(async () => (await engine.handles()).transactions === 0)
})

test('what the library hands over for each verdict is freed', () => {
  const inspector = new Inspector(findLibrary(undefined))
  later(() => inspector.close())
  const text = `SecRuleEngine On\nSecAction "id:1,phase:1,deny,status:403,log,msg:'${'long '.repeat(200)}'"\n`
  inspector.load(1, [{ kind: 'text', text, label: 'test' }], 1)
  const round = () => {
    for (let i = 0; i < 10_000; i++) inspector.request(1, aRequest(), undefined)
    return process.memoryUsage.rss() / 1024 / 1024
  }
  round()
  const before = round()
  round()
  // 20,000 texts of more than a kilobyte.
  expect(round() - before).toBeLessThan(15)
})

describe('exclusions', () => {
  const blocked = async (exclusions: Parameters<typeof ruleOptions>[0], route = 'shop', uri = SQLI) => {
    const { engine } = started()
    const set = await engine.acquire(buildRules(ruleOptions(exclusions)), 1)
    return (await judge(engine, set, aRequest({ uri, id: transactionId('r-1', route, false) }))).isBlocked
  }

  test('by number range, by tag', async () => {
    expect(await blocked({ exclusions: [{ rules: ['942000-942999'] }] })).toBe(false)
    expect(await blocked({ exclusions: [{ rules: [942100] }] })).toBe(true)
    // Rule 942100 (libinjection) has its tags, too.
    expect(await blocked({ exclusions: [{ rules: ['attack-sqli'] }] })).toBe(false)
  })

  test('for one parameter', async () => {
    const exclusions = [{ rules: ['942000-942999'], parameter: 'q' }]
    expect(await blocked({ exclusions })).toBe(false)
    expect(await blocked({ exclusions }, 'shop', SQLI.replace('?q', '?other'))).toBe(true)
    expect(await blocked({ exclusions: [{ rules: ['attack-sqli'], parameter: 'q' }] })).toBe(false)
  })

  test('for one route', async () => {
    for (const route of ['shop', "it's (a) ~ 100% <route>"]) {
      const exclusions = [{ rules: ['942000-942999'], route }]
      expect(await blocked({ exclusions }, route)).toBe(false)
      expect(await blocked({ exclusions }, 'shopping')).toBe(true)
    }
  })
})

describe('when a worker fails', () => {
  const threads: Worker[] = []
  const note = (message: unknown) => void threads.push((message as { worker: Worker }).worker)
  const watchThreads = () => {
    threads.length = 0
    channel('worker_threads').subscribe(note)
    later(() => channel('worker_threads').unsubscribe(note))
  }

  test('its jobs fail, it comes back with all rules, and it is told', async () => {
    watchThreads()
    const { engine, events, restarts } = started()
    const set = await engine.acquire(buildRules(ruleOptions()), 1)
    const running = [0, 1].map(() => judge(engine, set, aRequest({ uri: SQLI })))
    const failed = Promise.allSettled(running)
    void threads[0]?.terminate()
    for (const result of await failed) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'GW_WAF_UNAVAILABLE' } })
    }
    await waitFor(() => engine.ready === 1, { what: 'the worker to be back' })
    expect(restarts()).toBe(1)
    expect((await judge(engine, set, aRequest({ uri: SQLI }))).isBlocked).toBe(true)
    expect(events.map(({ event }) => event)).toEqual(['waf_worker_ended', 'waf_worker_back'])
  })

  test('requests that wait are answered by the one that comes after it', async () => {
    watchThreads()
    const { engine } = started()
    const set = await engine.acquire(buildRules(ruleOptions()), 1)
    const results = Promise.allSettled(Array.from({ length: 10 }, () => judge(engine, set, aRequest())))
    void threads[0]?.terminate()
    const fulfilled = (await results).filter(({ status }) => status === 'fulfilled')
    expect(fulfilled.length).toBeGreaterThanOrEqual(8)
  })

  test('a transaction in it is lost, and asking for it fails at once', async () => {
    watchThreads()
    const { engine } = started()
    const set = await engine.acquire(buildRules(ruleOptions()), 1)
    const { transaction } = await engine.inspect(set, aRequest(), true).verdict
    if (transaction === undefined) throw new TypeError('no transaction')
    await threads[0]?.terminate()
    const head = { status: 200, httpVersion: '1.1', headers: [] }
    await expect(engine.answer(transaction, head)).rejects.toMatchObject({ code: 'GW_WAF_UNAVAILABLE' })
    engine.end(transaction)
  })

  test('one that hangs in the library is replaced, and its request fails in time', async () => {
    const { engine, warnings } = started({ timeout: 150 })
    const slow = Array.from(
      { length: 4000 },
      (_, i) =>
        `SecRule ARGS "@rx a${i}b+c" "id:${10_000 + i},phase:2,pass,nolog,t:urlDecodeUni,t:htmlEntityDecode,t:cssDecode,t:jsDecode"`,
    )
    const path = ruleFile(slow.join('\n'))
    const set = await engine.acquire(buildRules(ruleOptions({ crs: undefined, files: [path] })), 1)
    const body = Array.from({ length: 900 }, (_, i) => `p${i}=${'a1bbbbc'.repeat(15)}`).join('&')
    const began = performance.now()
    await expect(judge(engine, set, aPost('application/x-www-form-urlencoded', body))).rejects.toMatchObject({
      code: 'GW_WAF_UNAVAILABLE',
    })
    expect(performance.now() - began).toBeLessThan(1500)
    await waitFor(() => warnings.some((line) => line.includes('longer than 150 ms')))
    await waitFor(() => engine.ready === 1, { timeoutMs: 20_000, what: 'another worker' })
    expect((await judge(engine, set, aRequest())).isBlocked).toBe(false)
  })

  test('a full queue refuses at once', async () => {
    const { engine } = started({ queue: 3 })
    const set = await engine.acquire(buildRules(ruleOptions()), 1)
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => judge(engine, set, aRequest())))
    const codes = results.map((result) => (result.status === 'rejected' ? result.reason.code : 'ok'))
    expect(codes).toEqual(['ok', 'ok', 'ok', 'ok', 'ok', 'GW_WAF_BUSY', 'GW_WAF_BUSY', 'GW_WAF_BUSY'])
    expect(engine.queued).toBe(0)
  })
})

test('a library that is not there: the packages are named', async () => {
  const { engine } = started({ library: '/nowhere/libmodsecurity.so.3' })
  const asked = engine.acquire(buildRules(ruleOptions()), 1)
  await expect(asked).rejects.toMatchObject({ code: 'GW_WAF_LIBRARY' })
  await expect(asked).rejects.toThrow(/libmodsecurity3 modsecurity-crs/)
  expect(() => buildRules(ruleOptions({ crs: '/nowhere' }))).toThrow(/modsecurity-crs/)
})
