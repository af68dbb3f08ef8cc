import { fastify } from 'fastify'
import { register } from 'sluice/register'

/** A Fastify service with the five lines of docs/register.md. */
const app = fastify()
app.get('/', async () => ({ ok: true }))
app.addHook('onClose', async () => console.log('onClose ran'))
register({ service: 'fastify', server: app.server, ttl: '3s', onClose: () => app.close() })
await app.listen({ host: '127.0.0.1', port: 0 })
