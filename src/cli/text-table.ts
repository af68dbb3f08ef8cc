import { cleanText, type Line, type Piece, textWidth } from './styled.ts'

/** A column of a table of `T`. */
export interface Column<T> {
  readonly title: string
  /** Empty = there is nothing to say; a column with nothing but that is left out. */
  readonly cell: (row: T) => Piece | string
  readonly align?: 'right'
  /** What is the first to go where the terminal is too narrow: the highest. Default 0 = stays. */
  readonly rank?: number
}

interface Measured {
  readonly title: string
  readonly isRight: boolean
  readonly rank: number
  readonly cells: readonly Piece[]
  readonly width: number
}

const GAP = 2
/** So much of the last column should still be seen. */
const LAST_MIN = 40

function measure<T>({ title, cell, align, rank = 0 }: Column<T>, rows: readonly T[]): Measured {
  const cells = rows.map((row) => {
    const said = cell(row)
    const piece = typeof said === 'string' ? { text: said } : said
    return { ...piece, text: cleanText(piece.text) }
  })
  const width = Math.max(textWidth(title), ...cells.map(({ text }) => textWidth(text)))
  return { title, isRight: align === 'right', rank, cells, width }
}

/** Columns that go into so many columns of a terminal; the last one may be cut. */
function fitting(all: readonly Measured[], columns: number): readonly Measured[] {
  const last = all.at(-1)
  const sum = all.reduce(
    (total, one) => total + (one === last ? Math.min(one.width, LAST_MIN) : one.width + GAP),
    0,
  )
  if (sum <= columns) return all
  const rank = Math.max(...all.map((one) => one.rank))
  return rank === 0
    ? all
    : fitting(
        all.toSpliced(
          all.findLastIndex((one) => one.rank === rank),
          1,
        ),
        columns,
      )
}

function padded({ text, style }: Piece, { width, isRight }: Measured, isLast: boolean): Piece[] {
  const space = ' '.repeat(width - textWidth(text))
  const gap = isLast ? '' : ' '.repeat(GAP)
  return isRight
    ? [{ text: space }, { text, style }, { text: gap }]
    : [{ text, style }, { text: isLast ? '' : space + gap }]
}

/** The heading and a line for each row; `columns`: of the terminal, default as many as it takes. */
export function tableLines<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  width = Number.POSITIVE_INFINITY,
): Line[] {
  const filled = columns
    .map((column) => measure(column, rows))
    .filter(({ cells }) => cells.some(({ text }) => text !== ''))
  const shown = fitting(filled, width)
  const line = (pieceOf: (one: Measured) => Piece): Line =>
    shown.flatMap((one, i) => padded(pieceOf(one), one, i === shown.length - 1))
  return [
    line(({ title }) => ({ text: title.toUpperCase(), style: 'dim' })),
    ...rows.map((_, i) => line(({ cells }) => cells[i] ?? { text: '' })),
  ]
}
