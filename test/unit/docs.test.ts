import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { problemsOf } from '../support/config.ts'

const ROOT = join(import.meta.dirname, '../..')
const PAGES = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
]
const textOf = (page: string) => readFileSync(join(ROOT, page), 'utf8')

interface Example {
  readonly place: string
  readonly yaml: string
}

function examplesOf(page: string): Example[] {
  const text = textOf(page)
  return [...text.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, yaml = ''], i) => ({
    place: `${page} example ${i + 1}: ${yaml.trim().split('\n')[0]}`,
    yaml,
  }))
}

/** Examples of files that are not a configuration say so in their first line. */
const isConfiguration = ({ yaml }: Example) => !yaml.startsWith('# not sluice.yaml')
const EXAMPLES = PAGES.flatMap(examplesOf).filter(isConfiguration)

test('there are examples to check', () => expect(EXAMPLES.length).toBeGreaterThan(5))

test.each(EXAMPLES.map(({ place, yaml }) => [place, yaml]))(
  '%s is a valid configuration',
  async (_place, yaml) => {
    const problems = await problemsOf({ 'sluice.yaml': yaml })
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([])
  },
)

test.each(PAGES)('the links of %s lead somewhere', (page) => {
  const links = [...textOf(page).matchAll(/\]\(([^)#\s]+)(#[^)]*)?\)/g)].map(([, link = '']) => link)
  const broken = links
    .filter((link) => !/^https?:/.test(link))
    .filter((link) => !existsSync(join(ROOT, dirname(page), link)))
  expect(broken).toEqual([])
})
