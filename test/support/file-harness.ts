import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFileProvider } from '../../src/registry/file.ts'
import type { RegistryHarness, TestRecord } from './registry-conformance.ts'

/** A folder of instance files, one a service, for the conformance suite. It is "killed" by moving it away. */
export const fileHarness: RegistryHarness = {
  malformed: 'refused',
  without: { permission: 'who runs the tests may read every file' },
  async start({ isDown = false } = {}) {
    const root = await mkdtemp(join(tmpdir(), 'sluice-files-'))
    const folder = join(root, 'instances')
    const away = join(root, 'away')
    const services = new Map<string, Map<string, unknown>>()
    await mkdir(isDown ? away : folder)
    const write = async (service: string) => {
      const list = [...(services.get(service)?.values() ?? [])]
      const text = JSON.stringify({ services: list.length === 0 ? {} : { [service]: list } })
      await writeFile(join(root, 'next'), text)
      await rename(join(root, 'next'), join(folder, `${service}.json`))
    }
    /** One after another: each writes the whole file of its service. */
    let writing = Promise.resolve()
    const edit = (service: string, change: (list: Map<string, unknown>) => void) => {
      const list = services.get(service) ?? new Map<string, unknown>()
      services.set(service, list)
      change(list)
      writing = writing.then(() => write(service))
      return writing
    }
    const put = ({ service, id, address, port, version }: TestRecord) =>
      edit(service, (list) =>
        list.set(id, {
          url: `http://${address}:${port}`,
          id,
          ...(version === undefined ? {} : { version }),
        }),
      )
    return {
      provider: (deps) => createFileProvider('main', folder, deps),
      put,
      remove: ({ service, id }) => edit(service, (list) => list.delete(id)),
      async putMalformed({ service, id }) {
        await edit(service, (list) => list.set(id, { url: 'nowhere', id }))
        return `${service}.json:1:`
      },
      kill: () => rename(folder, away),
      restart: () => rename(away, folder),
      async wipe() {
        await rename(folder, away)
        services.clear()
        await rm(away, { recursive: true })
        await mkdir(folder)
      },
      stop: () => rm(root, { recursive: true }),
    }
  },
}
