// @ts-check
import { useId } from 'preact/hooks'
import { cx, html } from '../lib/html.js'

/** @typedef {import('../lib/html.js').Children} Children */

/**
 * A titled box.
 * @param {object} props
 * @param {string} props.title
 * @param {Children} [props.aside] At the right of the title.
 * @param {boolean} [props.isFlush] The content reaches the edges: tables.
 * @param {string} [props.class]
 * @param {Children} [props.children]
 */
export function Panel({ title, aside, isFlush = false, class: name, children }) {
  const id = useId()
  return html`
    <section class=${cx('panel', isFlush && 'is-flush', name)} aria-labelledby=${id}>
      <header class="panel-head"><h2 id=${id}>${title}</h2>${aside && html`<div class="panel-aside">${aside}</div>`}</header>
      <div class="panel-body">${children}</div>
    </section>
  `
}

/** Names and values. @param {{ items: readonly (readonly [string, Children] | false | undefined)[] }} props */
export const Facts = ({ items }) => html`
  <dl class="facts">
    ${items.filter((item) => item !== false && item !== undefined).map((item) => html`<div><dt>${item[0]}</dt><dd>${item[1]}</dd></div>`)}
  </dl>
`
