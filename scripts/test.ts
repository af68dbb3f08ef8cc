import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * `npm test`: installs the servers that the tests need, runs the whole suite, and closes with the plain line
 * `N passed, N failed`. Arguments go to vitest: `npm test -- test/unit/routing`.
 */
const root = join(import.meta.dirname, '..')

const servers = spawnSync('bash', [join(root, 'scripts/install-servers.sh')], { stdio: 'inherit' })
if (servers.status !== 0) {
  console.error('npm test: the servers that the tests need could not be installed (see above)')
  process.exit(1)
}

// What the tests and examples import as a user does must be what the sources say.
const built = spawnSync('npm', ['run', '--silent', 'build'], { cwd: root, stdio: 'inherit' })
if (built.status !== 0) process.exit(1)

const report = join(tmpdir(), `sluice-tests-${process.pid}.json`)
const vitest = spawn(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit' },
)
vitest.on('exit', (status) => {
  let passed = 0
  let failed = 0
  try {
    const result = JSON.parse(readFileSync(report, 'utf8')) as {
      numPassedTests: number
      numFailedTests: number
      numFailedTestSuites: number
    }
    passed = result.numPassedTests
    failed = result.numFailedTests
  } catch {
    failed = 1
  }
  rmSync(report, { force: true })
  if (status !== 0 && failed === 0) failed = 1
  console.log(`${passed} passed, ${failed} failed`)
  process.exit(status === 0 && passed > 0 ? 0 : 1)
})
