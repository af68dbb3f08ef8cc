import { GatewayError } from '../src/core/errors.ts'
import type { ClientRequest } from '../src/proxy/client-side.ts'

/**
 * The whole body of a request. Rejects with GW_REQUEST_BODY_TOO_LARGE beyond `limit` bytes, with
 * GW_REQUEST_TIMEOUT after `idleMs` of silence (0 = never), with GW_UPSTREAM_RESET when the client leaves.
 */
export function readBody(request: ClientRequest, limit: number, idleMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    let timer: NodeJS.Timeout | undefined
    const stop = () => {
      clearTimeout(timer)
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose)
    }
    const fail = (error: GatewayError) => {
      stop()
      request.pause()
      reject(error)
    }
    const arm = () => {
      if (idleMs === 0) return
      clearTimeout(timer)
      timer = setTimeout(() => fail(new GatewayError('GW_REQUEST_TIMEOUT')), idleMs)
    }
    const onData = (chunk: Buffer) => {
      arm()
      size += chunk.length
      if (size > limit) fail(new GatewayError('GW_REQUEST_BODY_TOO_LARGE'))
      else chunks.push(chunk)
    }
    const onEnd = () => {
      stop()
      resolve(Buffer.concat(chunks))
    }
    const onClose = () => fail(new GatewayError('GW_UPSTREAM_RESET', 'the client left'))
    arm()
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose)
  })
}
