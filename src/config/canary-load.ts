import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { ReleaseRule } from '../core/canary.ts'
import { errorText } from '../core/errors.ts'
import type { CanaryFile, CanaryInput, LaneInput } from './canaries.ts'
import { toCanary, toLane } from './canary-convert.ts'
import type { ConfigDocument } from './document.ts'
import type { ConfigProblem } from './problems.ts'

/** A file with canary rules, as it was read. */
export interface CanaryPart {
  readonly document: ConfigDocument
  readonly value: Pick<CanaryFile, 'canaries' | 'lanes'>
}

/** A list of users larger than this is another tool's job: it is part of each table. Bytes. */
const MAX_USERS_BYTES = 1024 * 1024

/** One id a line; `#` begins a comment, empty lines do not count. */
export function parseUsers(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.replace(/(?:^|\s)#.*$/, '').trim())
    .filter((line) => line !== '')
}

async function readUsers(
  { document }: CanaryPart,
  input: CanaryInput | LaneInput,
  where: PropertyKey[],
  found: { readonly files: string[]; readonly problems: ConfigProblem[] },
): Promise<Map<string, string[]>> {
  const lists = new Map<string, string[]>()
  for (const [i, { user }] of input.match.entries()) {
    if (user?.file === undefined) continue
    const path = resolve(document.folder, user.file)
    const at = [...where, 'match', i, 'user', 'file']
    found.files.push(path)
    try {
      const text = await readFile(path, 'utf8')
      if (text.length > MAX_USERS_BYTES) {
        found.problems.push(
          document.problem(at, `${path} is larger than 1 MiB`, 'put the users into a claim or a header'),
        )
        continue
      }
      lists.set(user.file, parseUsers(text))
    } catch (thrown) {
      const message = `${path} cannot be read: ${errorText(thrown)}`
      found.problems.push(document.problem(at, message, 'create it, or mend the path'))
    }
  }
  return lists
}

/** All rules and lanes in the order of the files, lists of users read. Mistakes go to `problems`. */
export async function collectCanaries(
  parts: readonly CanaryPart[],
  problems: ConfigProblem[],
): Promise<{ canaries: ReleaseRule[]; files: string[] }> {
  const [canaries, files]: [ReleaseRule[], string[]] = [[], []]
  const names = new Map<string, string>()
  for (const part of parts) {
    const entries = [
      ...part.value.lanes.map((input, i) => ({ list: 'lanes', i, input })),
      ...part.value.canaries.map((input, i) => ({ list: 'canaries', i, input })),
    ]
    for (const { list, i, input } of entries) {
      const { document } = part
      const first = names.get(input.name)
      if (first !== undefined) {
        const at = [list, i, 'name']
        const message = `canary rule or lane "${input.name}" exists already at ${first}`
        problems.push(document.problem(at, message, 'give it another name, or delete one'))
        continue
      }
      const source = document.source([list, i])
      names.set(input.name, source)
      const lists = await readUsers(part, input, [list, i], { files, problems })
      const users = (path: string) => lists.get(path) ?? []
      canaries.push('service' in input ? toCanary(input, source, users) : toLane(input, source, users))
    }
  }
  return { canaries, files }
}
