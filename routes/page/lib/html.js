// @ts-check
import htm from 'htm'
import { Component, h } from 'preact'

/** @typedef {import('preact').ComponentChildren} Children */
/** @typedef {import('preact').VNode} VNode */

/**
 * Markup of Preact as a tagged template. Values go in as text: names come from registries and are never markup.
 * @type {(strings: TemplateStringsArray, ...values: any[]) => VNode}
 */
export const html = /** @type {any} */ (htm.bind(/** @type {any} */ (h)))

/**
 * @param {object} a
 * @param {object} b
 */
function isShallowEqual(a, b) {
  const left = /** @type {Record<string, unknown>} */ (a)
  const right = /** @type {Record<string, unknown>} */ (b)
  for (const key in left) if (left[key] !== right[key]) return false
  for (const key in right) if (!(key in left)) return false
  return true
}

/**
 * A component that renders again only when one of its properties is another value.
 * @template P
 * @param {(props: P) => any} render
 * @returns {import('preact').ComponentClass<P>}
 */
export function memo(render) {
  return /** @type {any} */ (
    class extends Component {
      /** @override @param {object} next */
      shouldComponentUpdate(next) {
        return !isShallowEqual(this.props, next)
      }
      /** @override @param {any} props */
      render(props) {
        return h(/** @type {any} */ (render), props)
      }
    }
  )
}

/**
 * Class names out of those that are true.
 * @param {...(string | false | undefined | null)} names
 */
export const cx = (...names) => names.filter(Boolean).join(' ')
