import type { RequestRecord } from '../../src/core/record.ts'

/** The record of a good GET. */
export function aRecord(own: Partial<RequestRecord> = {}): RequestRecord {
  return {
    requestId: 'r-1',
    traceId: '0af7651916cd43dd8448eb211c80319c',
    startedAt: 1_700_000_000_000,
    method: 'GET',
    scheme: 'http',
    httpVersion: '1.1',
    host: 'shop.example.com',
    path: '/cart',
    query: '',
    clientIp: '192.0.2.1',
    userAgent: 'test',
    status: 200,
    outcome: 'ok',
    code: undefined,
    route: 'shop',
    service: 'shop',
    instanceKey: 'consul/dc1/n1/shop-1',
    instanceAddress: '10.0.0.1:8080',
    version: '1.0.0',
    attempts: [{ instanceKey: 'consul/dc1/n1/shop-1', status: 200, outcome: 'ok', ms: 2 }],
    tableVersion: 3,
    bytesIn: 0,
    bytesOut: 10,
    totalMs: 3,
    upstreamMs: 2,
    filterMs: 0,
    isUpgrade: false,
    principal: undefined,
    refusedBy: undefined,
    wouldRefuse: undefined,
    ...own,
  }
}
