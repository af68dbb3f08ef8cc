import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { selfSigned } from './self-signed.ts'

/** A self-signed pair in files, as an operator has it. */
export interface TlsFiles {
  readonly cert: string
  readonly key: string
  /** PEM of `cert`: what a client must trust. */
  readonly ca: string
  /** PEM of `key`. */
  readonly keyText: string
  /** Writes a new pair for this name into the same files; returns its certificate. */
  renew(name: string): Promise<string>
  close(): Promise<void>
}

/** Makes a pair for a name in a folder of its own. */
export async function tlsFiles(name: string, subject?: string): Promise<TlsFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-tls-'))
  const cert = join(folder, 'cert.pem')
  const key = join(folder, 'key.pem')
  const write = async (forName: string) => {
    const pair = await selfSigned(forName, subject)
    await writeFile(cert, pair.cert)
    await writeFile(key, pair.key)
    return pair
  }
  const first = await write(name)
  return {
    cert,
    key,
    ca: first.cert,
    keyText: first.key,
    renew: async (next) => (await write(next)).cert,
    close: () => rm(folder, { recursive: true }),
  }
}
