import { describe, expect, test } from 'vitest'
import { WithheldAnswer } from '../../../plugins/withheld-answer.ts'
import type { BodyCheck, FilterReply } from '../../../src/filters/filter.ts'

const REFUSED: FilterReply = { status: 502, code: 'GW_WAF_ANSWER_BLOCKED' }

/** A check that notes what it sees, and an outlet that notes what it gets. */
function setUp(reply?: FilterReply, own: { maxBytes?: number; canTake?: boolean } = {}) {
  const seen: string[] = []
  const sent: string[] = []
  let drained: (() => void) | undefined
  const check: BodyCheck = {
    maxBytes: own.maxBytes ?? 4,
    judge: async (beginning, isWhole) => {
      seen.push(`${beginning.toString()} ${isWhole}`)
      return reply
    },
  }
  const answer = new WithheldAnswer([check], {
    open: () => void sent.push('head'),
    write: (chunk) => {
      sent.push(chunk.toString())
      return own.canTake ?? true
    },
    onDrain: (resume) => {
      drained = resume
    },
  })
  return { answer, seen, sent, drain: () => drained?.() }
}

const bytes = (text: string) => Buffer.from(text)

describe('an answer that is withheld', () => {
  test('is judged at its end when it is short, and goes on in its pieces', async () => {
    const { answer, seen, sent } = setUp()
    expect([answer.write(bytes('a')), answer.write(bytes('b'))]).toEqual([true, true])
    expect([seen, sent]).toEqual([[], []])
    answer.end()
    await answer.settled
    expect([seen, sent]).toEqual([['ab true'], ['head', 'a', 'b']])
  })

  test('stops the upstream when there is enough, and lets it go on after the verdict', async () => {
    const { answer, seen, sent } = setUp()
    expect(answer.write(bytes('abcde'))).toBe(false)
    let resumed = 0
    answer.onDrain(() => resumed++)
    expect(answer.write(bytes('f'))).toBe(false)
    await answer.settled
    expect([seen, sent, resumed]).toEqual([['abcd false'], ['head', 'abcde', 'f'], 1])
  })

  test('waits for a slow client then', async () => {
    const { answer, drain } = setUp(undefined, { canTake: false })
    answer.write(bytes('abcde'))
    let resumed = 0
    answer.onDrain(() => resumed++)
    await answer.settled
    expect(resumed).toBe(0)
    drain()
    expect(resumed).toBe(1)
  })

  test('refused: nothing of it is sent', async () => {
    const { answer, sent } = setUp(REFUSED)
    answer.write(bytes('abcde'))
    await answer.settled
    expect([answer.refusal, answer.isSettled, sent]).toEqual([REFUSED, true, []])
  })

  test('dropped while it is judged: neither sent nor refused', async () => {
    const { answer, sent } = setUp(REFUSED)
    answer.write(bytes('abcde'))
    answer.drop()
    await answer.settled
    await Promise.resolve()
    expect([answer.refusal, sent]).toEqual([undefined, []])
  })

  test('several checks see as much as each of them wants', async () => {
    const seen: string[] = []
    const check = (maxBytes: number): BodyCheck => ({
      maxBytes,
      judge: async (beginning, isWhole) => {
        seen.push(`${beginning.toString()} ${isWhole}`)
        return undefined
      },
    })
    const answer = new WithheldAnswer([check(2), check(5)], { open() {}, write: () => true, onDrain() {} })
    expect(answer.write(bytes('abc'))).toBe(true)
    answer.end()
    await answer.settled
    expect(seen).toEqual(['ab false', 'abc true'])
  })
})
