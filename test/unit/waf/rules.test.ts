import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { exclusionRules } from '../../../src/waf/exclusions.ts'
import { buildRules, describeRuleError, setupText, transactionId } from '../../../src/waf/rules.ts'
import { ruleOptions } from '../../support/waf.ts'

const folder = () => mkdtempSync(join(tmpdir(), 'sluice-rules-'))

/** A stand-in for the Core Rule Set. */
function crs() {
  const path = folder()
  writeFileSync(join(path, 'REQUEST-942.conf'), 'SecRule ARGS "@rx x" "id:942100,phase:2,pass"\n')
  writeFileSync(join(path, 'REQUEST-901.conf'), 'SecRule ARGS "@rx x" \\\n    "id:901001,\\\n    pass"\n')
  writeFileSync(join(path, 'RESPONSE-980-CORRELATION.conf'), '# left out\n')
  writeFileSync(join(path, 'words.data'), 'x\n')
  return path
}

describe('settings become directives', () => {
  test('levels, thresholds, methods, types', () => {
    const text = setupText(
      ruleOptions({
        paranoia: { blocking: 2, detection: 3 },
        thresholds: { inbound: 7, outbound: 9 },
        methods: ['GET', 'PURGE'],
        contentTypes: ['application/json', 'text/plain'],
      }),
    )
    for (const part of [
      "setvar:'tx.paranoia_level=2'",
      "setvar:'tx.executing_paranoia_level=3'",
      "setvar:'tx.inbound_anomaly_score_threshold=7'",
      "setvar:'tx.outbound_anomaly_score_threshold=9'",
      "setvar:'tx.allowed_methods=GET PURGE'",
      "setvar:'tx.allowed_request_content_type=|application/json| |text/plain|'",
    ]) {
      expect(text).toContain(part)
    }
    expect(text.endsWith('\n')).toBe(true)
  })

  test('bodies only as far as they are wanted', () => {
    expect(setupText(ruleOptions({ body: undefined }))).toContain('SecRequestBodyAccess Off')
    expect(setupText(ruleOptions())).toContain('SecResponseBodyAccess Off')
    expect(setupText(ruleOptions({ answerBody: { maxBytes: 5, types: ['text/html'] } }))).toContain(
      'SecResponseBodyLimit 5',
    )
  })

  test.each([
    { methods: ['GET"\nSecRuleEngine Off\n#'] },
    { methods: ["GET'"] },
    { methods: ['get'] },
    { contentTypes: ['text/plain|'] },
    { contentTypes: ["a/b'"] },
    { contentTypes: ['a/b c'] },
    { contentTypes: ['text/plain\n'] },
    { answerBody: { maxBytes: 1, types: ['text/html\nSecRuleEngine Off'] } },
    { paranoia: { blocking: 5, detection: 5 } },
    { paranoia: { blocking: 2, detection: 1 } },
    { paranoia: { blocking: 1.5, detection: 2 } },
    { thresholds: { inbound: 0, outbound: 4 } },
    { thresholds: { inbound: Number.NaN, outbound: 4 } },
    { body: { maxBytes: 0, maxArguments: 1 } },
  ])('%j cannot become one', (own) => {
    expect(() => setupText(ruleOptions(own))).toThrow(expect.objectContaining({ code: 'GW_CONFIG_INVALID' }))
  })
})

describe('exclusions', () => {
  const ids = new Set([942100, 942110, 942200, 930100])
  const markOf = (route: string) => `~${route}~`
  const textOf = (...exclusions: Parameters<typeof exclusionRules>[0]) =>
    exclusionRules(exclusions, ids, markOf).text

  test('numbers, ranges, tags', () => {
    expect(textOf({ rules: [942100, '942000-942150', 'attack-sqli'] })).toBe(
      'SecAction "id:8880100,phase:1,pass,nolog,t:none,ctl:ruleRemoveById=942100,ctl:ruleRemoveById=942000-942150,ctl:ruleRemoveByTag=attack-sqli"\n',
    )
  })

  test('for a target, a range is the rules that there are', () => {
    expect(textOf({ rules: ['942000-942150'], parameter: 'q' })).toContain(
      'ctl:ruleRemoveTargetById=942100;ARGS:q,ctl:ruleRemoveTargetById=942110;ARGS:q"',
    )
    expect(textOf({ rules: ['attack-sqli'], header: 'x-a' })).toContain(
      'ctl:ruleRemoveTargetByTag=attack-sqli;REQUEST_HEADERS:x-a',
    )
    expect(textOf({ rules: [942100], cookie: 'c' })).toContain('REQUEST_COOKIES:c')
  })

  test('on a route', () => {
    expect(textOf({ rules: [942100], route: 'shop' })).toMatch(
      /^SecRule UNIQUE_ID "@contains ~shop~" "id:8880100/,
    )
  })

  test.each([
    { rules: ["942100'"] },
    { rules: ['942999-942000'] },
    { rules: ['a,deny'] },
    { rules: ['a"'] },
    { rules: [-1] },
    { rules: [942100], parameter: 'a,ctl:ruleEngine=Off' },
    { rules: [942100], parameter: 'a"b' },
    { rules: [942100], parameter: "a'b" },
    { rules: [942100], parameter: 'a b' },
    { rules: [942100], parameter: 'a;b' },
    { rules: [942100], parameter: '' },
    { rules: [942100], parameter: 'a', header: 'b' },
  ])('%j is refused', (exclusion) => {
    expect(() => textOf(exclusion)).toThrow(expect.objectContaining({ code: 'GW_CONFIG_INVALID' }))
  })

  test('a rule that is not there is told', () => {
    expect(exclusionRules([{ rules: [1, 942100] }], ids, markOf).warnings).toEqual([
      'exclusions.0: there is no rule 1',
    ])
  })
})

describe('a transaction’s id', () => {
  test('names route and partial bodies, in a way no request id can imitate', () => {
    expect(transactionId('r-1', 'shop', false)).toBe('r-1~route=shop~')
    expect(transactionId('r-1', 'shop', true)).toBe('r-1~route=shop~~partial~')
    expect(transactionId('r~route=admin~~partial~', 'shop', false)).toBe(
      'r_route=admin__partial_~route=shop~',
    )
    expect(transactionId('r', 'a~b "c"', false)).toBe('r~route=a%7Eb%20%22c%22~')
  })
})

describe('a rule set', () => {
  test('settings, exclusions, own files, then the Core Rule Set in order, without its summary', () => {
    const [path, own] = [crs(), join(folder(), 'own.conf')]
    writeFileSync(own, 'SecRule ARGS "@rx y" "id:5,phase:2,pass"')
    const { parts, watched } = buildRules(ruleOptions({ crs: path, files: [own] }))
    expect(parts.map((part) => (part.kind === 'file' ? part.path : part.label))).toEqual([
      'the settings of the waf filter',
      'the exclusions of the waf filter',
      own,
      join(path, 'REQUEST-901.conf'),
      join(path, 'REQUEST-942.conf'),
    ])
    expect(watched).toEqual([own])
    for (const part of parts) if (part.kind === 'text') expect(part.text.endsWith('\n')).toBe(true)
  })

  test('lists beside an own file are found, whatever the working directory, and watched', () => {
    const here = folder()
    writeFileSync(join(here, 'own.conf'), 'SecRule ARGS "@pmFromFile list.data" "id:5,phase:2,pass"')
    writeFileSync(join(here, 'list.data'), 'x')
    const { parts, watched } = buildRules(ruleOptions({ crs: undefined, files: [join(here, 'own.conf')] }))
    expect(parts.at(-1)).toMatchObject({ text: expect.stringContaining(`@pmFromFile ${here}/list.data"`) })
    expect(watched).toEqual([join(here, 'own.conf'), join(here, 'list.data')])
  })

  test('its digest changes with settings and with each file', () => {
    const [path, own] = [crs(), join(folder(), 'own.conf')]
    writeFileSync(own, '# a')
    const digest = (own_: Parameters<typeof ruleOptions>[0] = {}) =>
      buildRules(ruleOptions({ crs: path, files: [own], ...own_ })).digest
    const first = digest()
    expect(digest()).toBe(first)
    expect(digest({ thresholds: { inbound: 6, outbound: 4 } })).not.toBe(first)
    writeFileSync(own, '# b')
    const second = digest()
    expect(second).not.toBe(first)
    writeFileSync(join(path, 'REQUEST-942.conf'), '# another')
    expect(digest()).not.toBe(second)
  })

  test('a file or a rule folder that is not there', () => {
    expect(() => buildRules(ruleOptions({ crs: undefined, files: ['/nowhere/a.conf'] }))).toThrow(
      '/nowhere/a.conf: the rule file cannot be read',
    )
    expect(() => buildRules(ruleOptions({ crs: folder() }))).toThrow(/libmodsecurity3 and modsecurity-crs/)
  })
})

describe('what the library says of a mistake', () => {
  const text = { kind: 'text', text: '', label: '/etc/own.conf' } as const
  test.each([
    [
      text,
      'Rules error. File: <<reference missing or not informed>>. Line: 2. Column: 11. Invalid input:  SecFoo Bar',
      '/etc/own.conf:2:11: Invalid input: SecFoo Bar',
    ],
    [
      { kind: 'file', path: '/crs/a.conf' } as const,
      'Rules error. File: /crs/included.conf. Line: 3. Column: 1. Expecting an action, got: x',
      '/crs/included.conf:3:1: Expecting an action, got: x',
    ],
    [text, 'Rules must have an ID. File: 0xbf6b6e0 at line: 4\n', '/etc/own.conf:4: Rules must have an ID.'],
    [text, 'Rule id: 5 is duplicated\n', '/etc/own.conf: Rule id: 5 is duplicated'],
  ])('%#', (part, problem, expected) => {
    expect(describeRuleError(part, problem)).toBe(expected)
  })
})
