import { expect, test } from 'vitest'
import { cleanText, cutLine, cutText, type Line, lineText, textWidth } from '../../../src/cli/styled.ts'
import { type Column, tableLines } from '../../../src/cli/text-table.ts'

const plain = (lines: readonly Line[]) => lines.map((line) => lineText(line, false))

test.each([
  ['\x1b[31mred\x1b[0m\x1b]0;title\x07', '[31mred [0m ]0;title'],
  ['a\r\nb\tc', 'a b c'],
  ['\u009b2J gone', '2J gone'],
  ['shop\u202egnp', 'shop gnp'],
])('%j cannot steer a terminal', (written, shown) => expect(cleanText(written)).toBe(shown))

test('wide and combining characters take the columns that a terminal gives them', () => {
  expect(['abc', 'e\u0301', '日本', '🙂', 'ü'].map(textWidth)).toEqual([3, 1, 4, 2, 1])
  expect(cutText('日本語', 4)).toBe('日…')
  expect(cutText('日本語', 6)).toBe('日本語')
})

test('a line is cut to the width, over all of its pieces', () => {
  const line: Line = [{ text: 'abc', style: 'red' }, { text: 'def' }, { text: 'g' }]
  const cut = (columns: number) => lineText(cutLine(line, columns), false)
  expect([7, 6, 5, 4, 3, 1].map(cut)).toEqual(['abcdefg', 'abcde…', 'abcd…', 'abc…', 'ab…', '…'])
})

test('colour is there when it is wanted, and only then', () => {
  expect(lineText([{ text: 'bad', style: 'red' }, { text: ' ok' }], true)).toBe('\x1b[31mbad\x1b[39m ok')
  expect(lineText([{ text: 'bad', style: 'red' }, { text: ' ok' }], false)).toBe('bad ok')
})

interface Row {
  readonly name: string
  readonly count: number
  readonly note: string
}
const COLUMNS: readonly Column<Row>[] = [
  { title: 'name', cell: ({ name }) => name },
  { title: 'count', align: 'right', rank: 2, cell: ({ count }) => String(count) },
  { title: 'never', rank: 1, cell: () => '' },
  { title: 'note', cell: ({ note }) => ({ text: note, style: 'red' }) },
]
const ROWS: readonly Row[] = [
  { name: 'shop', count: 7, note: '' },
  { name: 'catalog', count: 1200, note: 'one\nline' },
]

test('columns stand under each other, numbers to the right; what is empty throughout is left out', () => {
  expect(plain(tableLines(COLUMNS, ROWS))).toEqual([
    'NAME     COUNT  NOTE',
    'shop         7',
    'catalog   1200  one line',
  ])
})

test('where it is narrow, columns of the highest rank go first, those without one stay', () => {
  const long = [{ name: 'shop', count: 7, note: 'x'.repeat(60) }]
  const titles = (width: number) => plain(tableLines(COLUMNS, long, width))[0]
  expect([80, 54, 53, 45, 10].map(titles)).toEqual([
    'NAME  COUNT  NOTE',
    'NAME  COUNT  NOTE',
    'NAME  COUNT  NOTE',
    'NAME  NOTE',
    'NAME  NOTE',
  ])
})
