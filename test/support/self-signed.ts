import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Key and self-signed certificate for a name and 127.0.0.1, made by openssl. PEM. `subject`: default its common name. */
export async function selfSigned(
  name: string,
  subject = `/CN=${name}`,
): Promise<{ key: string; cert: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-cert-'))
  try {
    const key = join(folder, 'key.pem')
    const cert = join(folder, 'cert.pem')
    await promisify(execFile)('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-keyout', key, '-out', cert, '-days', '2', '-subj', subject],
      ...['-addext', `subjectAltName=DNS:${name},IP:127.0.0.1`],
    ])
    return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') }
  } finally {
    await rm(folder, { recursive: true })
  }
}
