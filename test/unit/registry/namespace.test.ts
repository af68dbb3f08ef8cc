import { expect, test } from 'vitest'
import type { Instance, Snapshot } from '../../../src/core/types.ts'
import {
  toGatewayName,
  toRegistryName,
  withNames,
  withRegistryNames,
} from '../../../src/registry/namespace.ts'
import type { RegistryProvider } from '../../../src/registry/provider.ts'
import { anInstance } from '../../support/exchange.ts'

test.each([
  [{}, 'cart', 'cart'],
  [{ prefix: 'shop-' }, 'cart', 'shop-cart'],
  [{ strip: 'prod-' }, 'prod-cart', 'cart'],
  [{ strip: 'prod-', prefix: 'shop.' }, 'prod-cart', 'shop.cart'],
])('%j makes %s %s, and back', (naming, name, expected) => {
  expect(toGatewayName(naming, name)).toBe(expected)
  expect(toRegistryName(naming, expected)).toBe(name)
})

test('a name without what is to be taken off is left out, and so is one of nothing else', () => {
  expect(toGatewayName({ strip: 'prod-' }, 'cart')).toBeUndefined()
  expect(toGatewayName({ strip: 'prod-' }, 'prod-')).toBeUndefined()
})

/** What the renamed provider tells of these snapshots. */
async function told(...snapshots: Snapshot[]): Promise<Snapshot[]> {
  const found: Snapshot[] = []
  const provider: RegistryProvider = {
    name: 'main',
    async watch(sink) {
      for (const each of snapshots) sink.next(each)
    },
  }
  const sink = { next: (each: Snapshot) => void found.push(each), status: () => {} }
  await withNames(provider, { strip: 'prod-', prefix: 'shop-' }).watch(sink, new AbortController().signal)
  return found
}

test('what does not change stays the same object, and failures have the new names, too', async () => {
  const one = anInstance('1', 1, { service: 'prod-cart' })
  const cart = { name: 'prod-cart', instances: [one] }
  const rest = { revision: '', epoch: 0, problems: [] }
  const [first, second, third] = await told(
    { services: new Map([['prod-cart', cart]]), failed: new Set(), ...rest },
    {
      services: new Map([
        ['prod-cart', cart],
        ['other', cart],
      ]),
      failed: new Set(['prod-cart', 'x']),
      ...rest,
    },
    {
      services: new Map([['prod-cart', { ...cart, instances: [one, anInstance('2', 2)] }]]),
      failed: new Set(),
      ...rest,
    },
  )
  expect([...(first?.services.keys() ?? [])]).toEqual(['shop-cart'])
  const made = first?.services.get('shop-cart')
  expect(made).toMatchObject({ name: 'shop-cart', instances: [{ key: one.key, service: 'shop-cart' }] })
  expect(second?.services.get('shop-cart')).toBe(made)
  expect(second?.services.size).toBe(1)
  expect([...(second?.failed ?? [])]).toEqual(['shop-cart'])
  expect(third?.services.get('shop-cart')?.instances[0]).toBe(made?.instances[0])
})

test('a drain mark goes to the name that the registry knows', async () => {
  const asked: Instance[] = []
  const teller = withRegistryNames(
    {
      async tell(instance) {
        asked.push(instance)
        return { isTold: true, detail: '' }
      },
    },
    { strip: 'prod-', prefix: 'shop-' },
  )
  await teller.tell(anInstance('1', 1, { service: 'shop-cart' }), 'bye')
  expect(asked[0]?.service).toBe('prod-cart')
})
