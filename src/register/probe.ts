import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import { GatewayError } from '../core/errors.ts'
import type { HealthFunction, HealthReport } from './health.ts'

/** Characters of a command's output that are kept. */
const KEPT = 512

/** Passing while something accepts connections there. */
export function tcpProbe(host: string, port: number): HealthFunction {
  return (signal) =>
    new Promise<HealthReport>((resolve) => {
      const socket = connect({ host, port, signal })
      const done = (report: HealthReport) => {
        socket.destroy()
        resolve(report)
      }
      socket.once('connect', () => done({ state: 'passing', output: `${host}:${port} accepts connections` }))
      socket.once('error', (error) => done({ state: 'critical', output: error.message }))
    })
}

/** 2xx passing, 429 warning, anything else critical: as Consul's own HTTP checks have it. */
export function httpProbe(url: string): HealthFunction {
  return async (signal) => {
    const response = await fetch(url, { signal, redirect: 'manual' })
    await response.body?.cancel()
    const output = `${url} answered ${response.status}`
    if (response.ok) return { state: 'passing', output }
    return { state: response.status === 429 ? 'warning' : 'critical', output }
  }
}

/** Exit code 0 passing, 1 warning, anything else critical: as Consul's own script checks have it. */
export function commandProbe(command: string): HealthFunction {
  return (signal) =>
    new Promise<HealthReport>((resolve) => {
      const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'], signal })
      let output = ''
      const keep = (chunk: Buffer) => {
        if (output.length < KEPT) output += chunk.toString()
      }
      child.stdout.on('data', keep)
      child.stderr.on('data', keep)
      child.once('error', (error) => resolve({ state: 'critical', output: error.message }))
      child.once('close', (code) => {
        const state = code === 0 ? 'passing' : code === 1 ? 'warning' : 'critical'
        resolve({ state, output: output.trim() || `exit code ${code}` })
      })
    })
}

/**
 * `tcp`, `http://…`, `/path` (HTTP on the port) or `command: …` as a probe. Throws GW_REGISTER_OPTIONS.
 */
export function probeOf(text: string, host: string, port: number): HealthFunction {
  if (text === 'tcp') return tcpProbe(host, port)
  const shown = host.includes(':') ? `[${host}]` : host
  if (text.startsWith('/')) return httpProbe(`http://${shown}:${port}${text}`)
  if (/^https?:\/\//.test(text)) return httpProbe(text)
  if (text.startsWith('command:')) return commandProbe(text.slice('command:'.length).trim())
  throw new GatewayError(
    'GW_REGISTER_OPTIONS',
    `--health: "${text}" is no probe: write tcp, /path, http://… or command:…`,
  )
}
