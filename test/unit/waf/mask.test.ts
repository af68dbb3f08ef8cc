import { describe, expect, test } from 'vitest'
import { cut, maskValue } from '../../../src/waf/mask.ts'

describe('what a log must not show', () => {
  test.each([
    ['REQUEST_HEADERS:Authorization', 'Basic YWxhZGRpbjpvcGVuc2VzYW1l'],
    ['REQUEST_HEADERS:x-authorization', 'abc'],
    ['REQUEST_HEADERS:Proxy-Authorization', 'abc'],
    ['REQUEST_HEADERS:Cookie', 'a=b'],
    ['REQUEST_HEADERS:X-Api-Key', 'abc'],
    ['REQUEST_HEADERS:x-csrf-token', 'abc'],
    ['RESPONSE_HEADERS:Set-Cookie', 'a=b'],
    ['REQUEST_COOKIES:basket', 'abc'],
    ['ARGS:password', 'abc'],
    ['ARGS:new_passwd', 'abc'],
    ['ARGS:json.user.password', 'abc'],
    ['ARGS:json.credentials.array_0.value', 'abc'],
    ['ARGS:user[pwd]', 'abc'],
    ['ARGS:access_token', 'abc'],
    ['ARGS:client_secret', 'abc'],
    ['ARGS:card_number', 'abc'],
    ['ARGS:code', 'abc'],
  ])('the value of %s', (variable, value) => {
    expect(maskValue(variable, value)).toBe('***')
  })

  test.each([
    ['REQUEST_BODY', 'user=anna&password=hunter2&x=1', 'hunter2'],
    ['REQUEST_BODY', '{"user":"anna","password":"hunter2"}', 'hunter2'],
    ['REQUEST_URI', '/login?api_key=hunter2', 'hunter2'],
    ['ARGS:text', 'Authorization: Bearer hunter2.abc', 'hunter2'],
    ['ARGS:text', 'my token is eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln', 'eyJzdWIi'],
    ['ARGS:text', 'pay with 4111 1111 1111 1111 please', '1111'],
    ['ARGS:text', 'pay with 4111-1111-1111-1111', '1111'],
    ['ARGS:text', '378282246310005', '378282'],
  ])('%s: %s', (variable, value, secret) => {
    expect(maskValue(variable, value)).not.toContain(secret)
  })

  test.each([
    ['ARGS:q', "1' union select password from users--"],
    ['ARGS:order', '1234567890123'],
    ['ARGS_NAMES:password', 'password'],
    ['REQUEST_HEADERS:User-Agent', 'sqlmap/1.0'],
    ['ARGS:passage', '12'],
  ])('%s: %s stays', (variable, value) => {
    expect(maskValue(variable, value)).toBe(value)
  })
})

test('80 characters, on one line', () => {
  expect(maskValue('ARGS:q', 'a'.repeat(200))).toHaveLength(80)
  expect(cut('a\r\nb\u2028c\x1b[31m')).toBe('a  b c [31m')
  expect(cut('ab', 80)).toBe('ab')
})
