import { hash } from 'node:crypto'

const known = new WeakMap<object, string>()

/** A hash of a plain value with everything in it, in its order; computed once for each object. */
export function identityOf(value: object): string {
  let id = known.get(value)
  if (id === undefined) {
    id = hash('sha1', JSON.stringify(value), 'base64url')
    known.set(value, id)
  }
  return id
}
