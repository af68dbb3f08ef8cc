import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ClientBody, type ClientBodyOptions } from '../../../plugins/client-body.ts'
import type { ClientRequest, ClientResponse } from '../../../src/proxy/client-side.ts'

let request: PassThrough
let continued: number
let overLimit: number

beforeEach(() => {
  request = new PassThrough()
  continued = 0
  overLimit = 0
})
afterEach(() => vi.useRealTimers())

function aBody(own: Partial<ClientBodyOptions> = {}): ClientBody {
  const response = { writeContinue: () => void continued++ } as unknown as ClientResponse
  const asRequest = Object.assign(request, { complete: false }) as unknown as ClientRequest
  return new ClientBody(asRequest, response, {
    length: undefined,
    wantsContinue: false,
    onOverLimit: () => void overLimit++,
    ...own,
  })
}

test('reads a whole body, and tells a client that waits to send it', async () => {
  const body = aBody({ wantsContinue: true })
  expect(body.isHeldBack).toBe(true)
  const reading = body.read(10, 0)
  expect([continued, body.isHeldBack]).toEqual([1, false])
  request.write('hello ')
  request.end('you')
  const { bytes, isWhole } = await reading
  expect([bytes.toString(), isWhole]).toEqual(['hello you', true])
  expect(body.source(10)).toEqual({ kind: 'buffer', bytes })
})

test('the beginning of a body can be looked at, further each time, and all of it goes upstream', async () => {
  const body = aBody()
  const first = body.read(4, 0)
  request.write('12345')
  expect(await first).toEqual({ bytes: Buffer.from('12345'), isWhole: false })
  expect(request.isPaused()).toBe(true)
  expect(await body.read(3, 0)).toEqual({ bytes: Buffer.from('12345'), isWhole: false })
  const second = body.read(6, 0)
  request.write('678')
  expect((await second).bytes.toString()).toBe('12345678')
  const source = body.source(0)
  request.end('9')
  if (source.kind !== 'stream') throw new TypeError('expected a stream')
  expect((await buffer(source.stream)).toString()).toBe('123456789')
})

test('silence and a client that leaves end the reading', async () => {
  vi.useFakeTimers()
  const silent = aBody().read(10, 1000)
  const outcome = expect(silent).rejects.toMatchObject({ code: 'GW_REQUEST_TIMEOUT' })
  await vi.advanceTimersByTimeAsync(1001)
  await outcome
  vi.useRealTimers()
  request = new PassThrough()
  const left = aBody().read(10, 0)
  request.destroy()
  await expect(left).rejects.toMatchObject({ code: 'GW_UPSTREAM_RESET' })
})

test('a body of unknown length is counted on its way, one of known length is not touched', async () => {
  expect(aBody({ length: 0 }).source(10)).toEqual({ kind: 'none' })
  expect(aBody({ length: 5 }).source(10)).toMatchObject({
    kind: 'stream',
    length: 5,
    stream: request,
  })
  const body = aBody()
  const source = body.source(5)
  request.write('12345')
  request.write('6')
  if (source.kind !== 'stream') throw new TypeError('expected a stream')
  const read: Buffer[] = []
  source.stream.on('data', (chunk: Buffer) => read.push(chunk))
  await vi.waitFor(() => expect([overLimit, Buffer.concat(read).toString()]).toEqual([1, '12345']))
  expect(body.isOverLimit).toBe(true)
})

test('within its limit a counted body goes through whole', async () => {
  const source = aBody().source(100)
  request.end('all of it')
  if (source.kind !== 'stream') throw new TypeError('expected a stream')
  expect((await buffer(source.stream)).toString()).toBe('all of it')
})
