// @ts-check
import { useEffect, useRef, useState } from 'preact/hooks'
import { cx, html } from '../lib/html.js'
import { useWidth } from './size.js'

/** @typedef {import('../lib/html.js').Children} Children */
/**
 * @template R
 * @typedef {object} Column
 * @property {string} id
 * @property {string} title
 * @property {string} width For a grid: `minmax(120px, 2fr)`, `80px`.
 * @property {(row: R) => Children} cell
 * @property {(a: R, b: R) => number} [compare] With it the column can be sorted by; ascending.
 * @property {boolean} [isFigure] Right-aligned.
 * @property {number} [from] Shown when the table is at least so wide. px.
 */
/** @typedef {{ by: string, isDown: boolean }} Sort */

/** Rows drawn beyond what is seen, so that the keyboard finds the next one. */
const SPARE = 6

/**
 * Which rows are seen when the page is scrolled: only those are drawn, however many there are.
 * @param {import('preact').RefObject<HTMLElement | null>} ref The element that holds all rows.
 * @param {number} count
 * @param {number} height Of one row. px.
 */
function useWindow(ref, count, height) {
  const [range, setRange] = useState({ first: 0, last: Math.min(count, 40) })
  useEffect(() => {
    const look = () => {
      const top = ref.current?.getBoundingClientRect().top ?? 0
      // In steps, so that most of scrolling draws nothing.
      const first = Math.max(0, Math.floor((-top / height - SPARE) / SPARE) * SPARE)
      const last = Math.min(count, Math.ceil(((innerHeight - top) / height + SPARE) / SPARE) * SPARE)
      setRange((before) => (before.first === first && before.last === last ? before : { first, last }))
    }
    look()
    // What stands above may grow or go, which moves the rows without any scrolling.
    const growth = new ResizeObserver(look)
    growth.observe(document.body)
    addEventListener('scroll', look, { passive: true })
    addEventListener('resize', look)
    return () => {
      growth.disconnect()
      removeEventListener('scroll', look)
      removeEventListener('resize', look)
    }
  }, [count, height])
  return range
}

/** @param {Column<any>} column @param {Sort | undefined} sort @param {(sort: Sort) => void} onSort */
function headCell(column, sort, onSort) {
  const isBy = sort?.by === column.id
  const state =
    column.compare === undefined ? undefined : isBy ? (sort.isDown ? 'descending' : 'ascending') : 'none'
  return html`<div role="columnheader" class=${cx('th', column.isFigure && 'is-figure')} aria-sort=${state} key=${column.id}>
    ${
      column.compare === undefined
        ? column.title
        : html`<button type="button" onClick=${() => onSort({ by: column.id, isDown: isBy ? !sort.isDown : column.isFigure === true })}>${column.title}<i aria-hidden="true">${isBy ? (sort.isDown ? '↓' : '↑') : ''}</i></button>`
    }
  </div>`
}

/**
 * Rows of one height under sortable headings. Any number of rows: only what is seen is drawn.
 * @param {object} props
 * @param {string} props.label
 * @param {readonly Column<any>[]} props.columns The first one names the row.
 * @param {readonly any[]} props.rows
 * @param {(row: any) => string} props.rowKey
 * @param {Sort} [props.sort] The first order.
 * @param {number} [props.rowHeight] px. Default 40.
 * @param {(row: any) => boolean} [props.isChosen]
 */
export function Table({ label, columns, rows, rowKey, sort: first, rowHeight = 40, isChosen }) {
  const [sort, setSort] = useState(first)
  const [box, width] = useWidth()
  const body = useRef(/** @type {HTMLElement | null} */ (null))
  const range = useWindow(body, rows.length, rowHeight)
  const shown = columns.filter(({ from = 0 }) => from <= width)
  const compare = columns.find(({ id }) => id === sort?.by)?.compare
  const sorted =
    compare === undefined ? rows : [...rows].sort((a, b) => (sort?.isDown ? compare(b, a) : compare(a, b)))
  const template = { gridTemplateColumns: shown.map((column) => column.width).join(' ') }
  const [start, end] = [Math.min(range.first, sorted.length), Math.min(range.last, sorted.length)]
  return html`
    <div class="table" role="table" aria-label=${label} aria-rowcount=${rows.length + 1} ref=${box}>
      <div role="rowgroup" class="thead">
        <div role="row" class="tr" aria-rowindex="1" style=${template}>${shown.map((column) => headCell(column, sort, setSort))}</div>
      </div>
      <div role="rowgroup" class="tbody" ref=${body} style=${{ height: `${sorted.length * rowHeight}px` }}>
        ${sorted.slice(start, end).map(
          (
            row,
            index,
          ) => html`<div role="row" class=${cx('tr', isChosen?.(row) && 'is-chosen')} key=${rowKey(row)} aria-rowindex=${start + index + 2}
            style=${{ ...template, height: `${rowHeight}px`, transform: `translateY(${(start + index) * rowHeight}px)` }}>
            ${shown.map((column, at) => html`<div role=${at === 0 ? 'rowheader' : 'cell'} class=${cx('td', column.isFigure && 'is-figure')} key=${column.id}>${column.cell(row)}</div>`)}
          </div>`,
        )}
      </div>
    </div>
  `
}
