import { GatewayError } from '../core/errors.ts'

/** Variables of the environment. */
export type Env = Readonly<Record<string, string | undefined>>

/** Throws GW_REGISTER_OPTIONS that names the option. */
export function refuse(key: string, problem: string): never {
  throw new GatewayError('GW_REGISTER_OPTIONS', `${key}: ${problem}`)
}

/** The first that is there and not empty. */
export function first(...values: (string | undefined)[]): string | undefined {
  return values.find((value) => value !== undefined && value !== '')
}

/** The parts between commas; empty ones are none. */
export function listOf(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')
}
