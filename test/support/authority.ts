import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** What a client or server shows. PEM. */
export interface Issued {
  readonly key: string
  readonly cert: string
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string
}

/** A certificate authority in a folder of its own, made by openssl. */
export interface Authority {
  /** Its certificate, as a file and as PEM. */
  readonly caFile: string
  readonly ca: string
  /** `subject`: `/O=Example/CN=client`. `san`: `DNS:a,URI:spiffe://b`. */
  issue(subject: string, san?: string): Promise<Issued>
  /** A list of revoked certificates with these in it, as PEM. */
  revoke(...revoked: readonly Issued[]): Promise<string>
  close(): Promise<void>
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** Makes an authority with this name. */
export async function authority(name: string): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-ca-'))
  const at = (file: string) => join(folder, file)
  const openssl = (...args: string[]) => promisify(execFile)('openssl', args, { cwd: folder })
  await openssl(
    ...['req', '-x509', ...CURVE, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2'],
    ...['-subj', `/O=Example/CN=${name}`, '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
  )
  await writeFile(at('index.txt'), '')
  await writeFile(
    at('ca.cnf'),
    `[ca]\ndefault_ca=d\n[d]\ndatabase=${at('index.txt')}\ncertificate=${at('ca.pem')}\nprivate_key=${at('ca.key')}\ndefault_md=sha256\ndefault_crl_days=2\n`,
  )
  let count = 0
  return {
    caFile: at('ca.pem'),
    ca: await readFile(at('ca.pem'), 'utf8'),
    async issue(subject, san) {
      const id = `c${++count}`
      const extensions = san === undefined ? 'basicConstraints=CA:FALSE' : `subjectAltName=${san}`
      await writeFile(at(`${id}.ext`), extensions)
      await openssl('req', '-new', ...CURVE, '-keyout', `${id}.key`, '-out', `${id}.csr`, '-subj', subject)
      await openssl(
        ...['x509', '-req', '-in', `${id}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-days', '2'],
        ...['-set_serial', String(100 + count), '-extfile', `${id}.ext`, '-out', `${id}.pem`],
      )
      const cert = await readFile(at(`${id}.pem`), 'utf8')
      const fingerprint = new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase()
      return { key: await readFile(at(`${id}.key`), 'utf8'), cert, fingerprint }
    },
    async revoke(...revoked) {
      for (const { cert } of revoked) {
        await writeFile(at('revoked.pem'), cert)
        await openssl('ca', '-config', 'ca.cnf', '-revoke', 'revoked.pem')
      }
      const { stdout } = await openssl('ca', '-config', 'ca.cnf', '-gencrl')
      return stdout
    },
    close: () => rm(folder, { recursive: true }),
  }
}
