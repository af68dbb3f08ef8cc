import { expect, test } from 'vitest'
import { FrameSplitter, JuteReader, JuteWriter } from '../../src/zookeeper/jute.ts'
import { isNodePath, parseServer } from '../../src/zookeeper/servers.ts'

test('what is written is read, beyond the first buffer, too', () => {
  const long = 'ü'.repeat(1000)
  const frame = new JuteWriter()
    .int(-7)
    .long(-(2n ** 40n))
    .flag(true)
    .text(long)
    .bytes(Buffer.from([1]))
    .frame()
  expect(frame.readInt32BE(0)).toBe(frame.length - 4)
  const reader = new JuteReader(frame.subarray(4))
  expect(reader.int()).toBe(-7)
  expect(reader.long()).toBe(-(2n ** 40n))
  expect(reader.flag()).toBe(true)
  expect(reader.text()).toBe(long)
  expect([...reader.bytes()]).toEqual([1])
})

test.each([1, 2, 3, 5, 7, 1000])('frames are cut out of chunks of %i bytes', (size) => {
  const frames = ['', 'a', 'bc'.repeat(300)].map((text) => new JuteWriter().text(text).frame())
  const stream = Buffer.concat(frames)
  const splitter = new FrameSplitter()
  const found: string[] = []
  for (let at = 0; at < stream.length; at += size) {
    for (const frame of splitter.push(stream.subarray(at, at + size)))
      found.push(new JuteReader(frame).text())
  }
  expect(found).toEqual(['', 'a', 'bc'.repeat(300)])
})

test('lengths that cannot be are refused, and so is an answer that ends too early', () => {
  expect(() => new FrameSplitter().push(Buffer.from('HTTP/1.1'))).toThrow('is that a ZooKeeper?')
  expect(() => new FrameSplitter().push(Buffer.from([0xff, 0xff, 0xff, 0xff]))).toThrow('-1 bytes')
  expect(() => new JuteReader(Buffer.alloc(3)).int()).toThrow('ends too early')
  expect(() => new JuteReader(new JuteWriter().int(9).frame().subarray(4)).text()).toThrow('ends too early')
  expect(new JuteReader(new JuteWriter().int(-1).frame().subarray(4)).text()).toBe('')
})

test.each([
  ['zk1:2181', { host: 'zk1', port: 2181 }],
  ['zk1', { host: 'zk1', port: 2181 }],
  ['10.0.0.7:21811', { host: '10.0.0.7', port: 21811 }],
  ['[fd00::7]:2181', { host: 'fd00::7', port: 2181 }],
  ['zk1:0', undefined],
  ['zk1:70000', undefined],
  ['http://zk1:2181', undefined],
  ['zk1:2181/chroot', undefined],
  ['zk1,zk2', undefined],
  ['', undefined],
])('server %s', (text, expected) => {
  const server = parseServer(text)
  if (expected === undefined) expect(server).toBeUndefined()
  else expect(server).toMatchObject({ ...expected, name: text })
})

test.each([
  ['/', true],
  ['/a', true],
  ['/a/b.c-d_e', true],
  ['a', false],
  ['/a/', false],
  ['/a//b', false],
  ['/a/../b', false],
  ['/a/./b', false],
  ['/..a', true],
  ['', false],
  ['/a\u0000', false],
])('path %j', (path, isGood) => {
  expect(isNodePath(path)).toBe(isGood)
})
