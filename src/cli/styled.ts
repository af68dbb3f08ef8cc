import { styleText } from 'node:util'

export type Style = 'red' | 'yellow' | 'green' | 'cyan' | 'magenta' | 'dim' | 'bold' | 'inverse'

/** A piece of a line. */
export interface Piece {
  readonly text: string
  readonly style?: Style | undefined
}

/** One line, not yet coloured: so it can be measured and cut. */
export type Line = readonly Piece[]

// Marks that turn the writing direction would let a name look like another one.
const UNSEEN = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu
const NO_WIDTH = /^[\p{Mn}\p{Me}\p{Cf}]$/u
const TWO_WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}\p{Emoji_Presentation}]$/u

/**
 * What services, checks and people wrote, fit for one line of a terminal: control characters (escape sequences, line
 * breaks) and marks of direction become a space.
 */
export function cleanText(text: string): string {
  return text.replace(UNSEEN, ' ').replace(/ {2,}/g, ' ').trim()
}

function widthOf(character: string): number {
  if (character < '\u0300') return 1
  if (NO_WIDTH.test(character)) return 0
  return TWO_WIDE.test(character) ? 2 : 1
}

/** How many columns of a terminal it takes. */
export function textWidth(text: string): number {
  let width = 0
  for (const character of text) width += widthOf(character)
  return width
}

/** Cut to so many columns; what was cut ends with `…`. */
export function cutText(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text
  let cut = ''
  let width = 0
  for (const character of text) {
    width += widthOf(character)
    if (width > columns - 1) break
    cut += character
  }
  return columns < 1 ? '' : `${cut}…`
}

/** A line cut to so many columns; what was cut ends with `…`. */
export function cutLine(line: Line, columns: number): Line {
  if (line.reduce((sum, { text }) => sum + textWidth(text), 0) <= columns) return line
  const out: Piece[] = []
  let left = columns
  for (const piece of line) {
    const width = textWidth(piece.text)
    if (width >= left) return [...out, { ...piece, text: cutText(`${piece.text}…`, left) }]
    out.push(piece)
    left -= width
  }
  return out
}

/** The line as a terminal takes it. */
export function lineText(line: Line, hasColor: boolean): string {
  return line
    .map(({ text, style }) =>
      hasColor && style !== undefined && text !== ''
        ? styleText(style, text, { validateStream: false })
        : text,
    )
    .join('')
    .trimEnd()
}
