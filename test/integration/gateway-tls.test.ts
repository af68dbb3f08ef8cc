import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { expect, test } from 'vitest'
import { useCleanups } from '../support/cleanup.ts'
import { startGateway } from '../support/gateway.ts'
import { freePort } from '../support/ports.ts'
import { type TlsFiles, tlsFiles } from '../support/tls-files.ts'
import { waitFor } from '../support/wait.ts'

const { later, opened } = useCleanups()

/** The name in the certificate that a listener shows. */
function shownName(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      const { subject } = socket.getPeerCertificate()
      socket.destroy()
      resolve(String(subject.CN))
    })
    socket.on('error', reject)
  })
}

/** Puts an https listener in the place of the one in clear. */
function useHttps(folder: string, port: number, { cert, key }: TlsFiles): void {
  const file = join(folder, 'sluice.yaml')
  const listen = `listen: { https: { address: "127.0.0.1:${port}", certificates: [{ cert: ${cert}, key: ${key} }] } }`
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^listen: .*$/m, listen))
}

test('a renewed certificate is served without a restart, and a broken one is not taken', async () => {
  const pair = await opened(tlsFiles('first.example'))
  const port = await freePort()
  const gateway = await startGateway({
    yaml: 'routes: [{ name: all, respond: { status: 200 } }]',
    prepare: (folder) => useHttps(folder, port, pair),
  })
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  expect(await shownName(port)).toBe('first.example')
  await pair.renew('second.example')
  await waitFor(async () => (await shownName(port)) === 'second.example', { what: 'the new certificate' })
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  expect(metrics).toMatch(/sluice_certificate_expiry_timestamp_seconds\{file=".*cert\.pem"\} 1\d{9}/)
  writeFileSync(pair.cert, 'no certificate')
  await waitFor(() => gateway.output().includes('the old one serves on'))
  expect(await shownName(port)).toBe('second.example')
})

test('with admin.tls.clientCa only clients with a certificate of that authority come in', async () => {
  const [server, client] = [await opened(tlsFiles('admin.example')), await opened(tlsFiles('client.example'))]
  const adminPort = await freePort()
  const gateway = await startGateway({
    waitReady: false,
    prepare: (folder) => {
      const file = join(folder, 'sluice.yaml')
      const admin = `admin: { address: "127.0.0.1:${adminPort}", tls: { cert: ${server.cert}, key: ${server.key}, clientCa: ${client.cert} } }`
      writeFileSync(file, readFileSync(file, 'utf8').replace(/^admin: .*$/m, admin))
    },
  })
  later(() => {
    gateway.signal('SIGKILL')
    return gateway.exited()
  })
  const status = (own: object) =>
    new Promise<number>((resolve, reject) => {
      request(
        {
          port: adminPort,
          host: '127.0.0.1',
          path: '/api/routes',
          ca: server.ca,
          servername: 'admin.example',
          agent: false,
          ...own,
        },
        (answer) => {
          answer.resume()
          resolve(answer.statusCode ?? 0)
        },
      )
        .on('error', reject)
        .end()
    })
  const pair = { cert: client.ca, key: client.keyText }
  await waitFor(async () => (await status(pair)) === 200, { what: 'the admin side' })
  await expect(status({})).rejects.toThrow()
})
