import httpProxy from '@fastify/http-proxy'
import fastify from 'fastify'

/** The baseline: bare @fastify/http-proxy with its defaults. Arguments: port, upstream. */
const [port, upstream] = process.argv.slice(2)
const app = fastify({ logger: false })
await app.register(httpProxy, { upstream: upstream as string })
await app.listen({ port: Number(port), host: '127.0.0.1' })
