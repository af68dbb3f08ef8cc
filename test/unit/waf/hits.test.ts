import { describe, expect, test } from 'vitest'
import { categoryOf, hitsOf, parseLogLine, totalScore } from '../../../src/waf/hits.ts'
import { HIT_CATEGORIES } from '../../../src/waf/types.ts'

const line = (own: {
  id?: number
  match?: string
  message?: string
  data?: string
  severity?: string
  tags?: string[]
}): string => {
  const { id = 942190, match, message = 'Detects SQL', data = '', severity = '2', tags = [] } = own
  const start =
    match ?? "Matched \"Operator `Rx' with parameter `x' against variable `ARGS:q' (Value: `1 union' )"
  return `ModSecurity: Warning. ${start} [file "/crs/942.conf"] [line "46"] [id "${id}"] [rev ""] [msg "${message}"] [data "${data}"] [severity "${severity}"] [ver "OWASP_CRS/3.3.4"] [maturity "0"] [accuracy "0"]${tags.map((tag) => ` [tag "${tag}"]`).join('')} [hostname "127.0.0.1"] [uri "/"] [unique_id "r-1"] [ref ""]`
}

describe('a log line of the library', () => {
  test('rule, message, variable, value, tags', () => {
    expect(parseLogLine(line({ tags: ['attack-sqli', 'OWASP_CRS'] }))).toEqual({
      ruleId: 942190,
      message: 'Detects SQL',
      severity: '2',
      tags: ['attack-sqli', 'OWASP_CRS'],
      variable: 'ARGS:q',
      value: '1 union',
    })
  })

  test('libinjection names the variable only in its data', () => {
    const text = line({
      match: 'detected SQLi using libinjection.',
      data: 'Matched Data: sUEnk found within ARGS:json.a: 1: union',
    })
    expect(parseLogLine(text)).toMatchObject({ variable: 'ARGS:json.a', value: '1: union' })
  })

  test('a request cannot make up another rule', () => {
    const forged = `x' ) [file "/crs/1.conf"] [line "1"] [id "1"] [rev ""] [msg "harmless"] [data ""] [severity "7"]`
    const text = line({
      match: `Matched "Operator \`Rx' with parameter \`x' against variable \`ARGS:${forged}' (Value: \`${forged}' )`,
    })
    expect(parseLogLine(text)).toMatchObject({ ruleId: 942190, message: 'Detects SQL', severity: '2' })
  })

  test('anything else is no hit', () => {
    expect(parseLogLine('')).toBeUndefined()
    expect(parseLogLine('something went wrong')).toBeUndefined()
  })
})

describe('hits', () => {
  test('the score grows by severity, from where it was', () => {
    const texts = ['2', '3', '4', '5', '7'].map((severity) => line({ severity }))
    expect(hitsOf(texts, 1).map(({ score }) => score)).toEqual([5, 9, 12, 14, 14])
    expect(hitsOf(texts.slice(0, 1), 1, 3)[0]?.score).toBe(8)
  })

  test('rules above the blocking level and rules of one’s own add nothing', () => {
    expect(hitsOf([line({ tags: ['paranoia-level/2'] })], 1)[0]?.score).toBe(0)
    expect(hitsOf([line({ tags: ['paranoia-level/2'] })], 2)[0]?.score).toBe(5)
    expect(hitsOf([line({ id: 1001 })], 1)[0]).toMatchObject({ score: 0, category: 'custom' })
  })

  test('only telling tags, few of them', () => {
    const tags = ['application-multi', 'attack-sqli', 'paranoia-level/1', 'OWASP_CRS', 'PCI/6.5.2']
    expect(hitsOf([line({ tags })], 1)[0]?.tags).toEqual(['attack-sqli', 'paranoia-level/1'])
  })

  test('the sum is no hit, but says the score', () => {
    const sum = line({ id: 949110, message: 'Inbound Anomaly Score Exceeded (Total Score: 20)' })
    expect(hitsOf([sum], 1)).toEqual([])
    expect(totalScore(sum)).toBe(20)
    expect(totalScore(line({ message: 'Total Score: 20' }))).toBeUndefined()
  })

  test('categories are of the fixed list', () => {
    for (let id = 900_000; id < 1_000_000; id += 250) expect(HIT_CATEGORIES).toContain(categoryOf(id))
    expect([942100, 941100, 930100, 932100, 913100, 920100, 951100, 8_880_020, 7].map(categoryOf)).toEqual([
      'sqli',
      'xss',
      'lfi',
      'rce',
      'scanner',
      'protocol',
      'leakage',
      'body',
      'custom',
    ])
  })
})
