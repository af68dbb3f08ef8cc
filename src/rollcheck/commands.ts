import { GatewayError } from '../core/errors.ts'
import type { CommandText } from './plan.ts'

/** Words that a command gets from the run: `{port}` … */
export type CommandWords = Readonly<Record<string, string | number | undefined>>

/** Splits a text at blanks; 'single' and "double" quotes and a backslash hold a blank. Throws GW_CLI_MISUSE. */
export function splitCommand(text: string): string[] {
  const words: string[] = []
  let word: string | undefined
  let quote = ''
  for (let i = 0; i < text.length; i++) {
    const char = text[i] as string
    if (char === quote) quote = ''
    else if (quote === '' && (char === '"' || char === "'")) {
      quote = char
      word ??= ''
    } else if (quote === '' && /\s/.test(char)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else if (char === '\\' && quote !== "'" && i + 1 < text.length) word = (word ?? '') + text[++i]
    else word = (word ?? '') + char
  }
  if (quote !== '') throw new GatewayError('GW_CLI_MISUSE', `the command has an open ${quote}: ${text}`)
  if (word !== undefined) words.push(word)
  return words
}

/** Fills `{name}` in a text; words that are not known here stay as they are. */
export function fillWords(text: string, words: CommandWords): string {
  return text.replaceAll(/\{(\w+)\}/g, (all, name: string) => {
    const value = words[name]
    return value === undefined ? all : String(value)
  })
}

/** The program and its arguments; `node` is the Node that runs this. Throws GW_CLI_MISUSE. */
export function commandWords(command: CommandText, words: CommandWords): [string, ...string[]] {
  // Filled after the split: a value with a blank stays one argument.
  const list = (typeof command === 'string' ? splitCommand(command) : command).map((each) =>
    fillWords(each, words),
  )
  const [program, ...args] = list
  if (program === undefined || program === '') throw new GatewayError('GW_CLI_MISUSE', 'the command is empty')
  return [program === 'node' ? process.execPath : program, ...args]
}
