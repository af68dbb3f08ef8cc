import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What servers and fonts take for ASCII: quotes, dashes, spaces. */
const LOOKALIKES: Readonly<Record<number, string>> = {
  8216: "'",
  8217: "'",
  8218: "'",
  8219: "'",
  8242: "'",
  697: "'",
  700: "'",
  712: "'",
  8220: '"',
  8221: '"',
  8222: '"',
  8243: '"',
  8208: '-',
  8209: '-',
  8210: '-',
  8211: '-',
  8212: '-',
  8722: '-',
  8228: '.',
  8260: '/',
  8725: '/',
  10744: '/',
  8726: '\\',
  8249: '<',
  8250: '>',
  9001: '<',
  9002: '>',
  12296: '<',
  12297: '>',
  8739: '|',
  12288: ' ',
  8232: ' ',
  8233: ' ',
}

/** Any letter: a word is what it was. */
const LETTER = 'x'.charCodeAt(0)

/** One code point as the rules are to see it, from U+0100. */
export function mappedByte(point: number): number {
  // Full-width forms of ASCII.
  if (point >= 0xff01 && point <= 0xff5e) return point - 0xfee0
  const alike = LOOKALIKES[point]
  if (alike !== undefined) return alike.charCodeAt(0)
  return point >= 0x2000 && point <= 0x200b ? 0x20 : LETTER
}

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0')

/** A map file in ModSecurity's format, for code page 20127. */
export function unicodeMapText(): string {
  const parts: string[] = []
  for (let point = 0x100; point <= 0xffff; point++)
    parts.push(`${hex(point, 4)}:${hex(mappedByte(point), 2)}`)
  return `20127 (US-ASCII)\n${parts.join(' ')}\n`
}

/**
 * The map as a file without a name, for as long as it is open: libmodsecurity takes only paths. Without a map it looks at
 * the lower byte of each code point, by which a Chinese sentence is full of quotes and semicolons.
 */
export class UnicodeMap {
  readonly #file: number

  constructor() {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-waf-'))
    const path = join(folder, 'unicode.map')
    writeFileSync(path, unicodeMapText())
    this.#file = openSync(path, 'r')
    rmSync(folder, { recursive: true })
  }

  get path(): string {
    return `/proc/self/fd/${this.#file}`
  }

  close(): void {
    closeSync(this.#file)
  }
}
