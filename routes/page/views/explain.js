// @ts-check
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiProblem, send } from '../lib/api.js'
import { useCell } from '../lib/cell.js'
import { onEvent } from '../lib/events.js'
import { bodyOf, exampleOf, queryOf, questionOf } from '../lib/explain.js'
import { html } from '../lib/html.js'
import { useResource } from '../lib/resource.js'
import { goQuery, place } from '../lib/router.js'
import { ExplainAnswer, inShort } from '../parts/explain-answer.js'
import { ExplainForm } from '../parts/explain-form.js'
import { Panel } from '../parts/panel.js'
import { Loading, Note } from '../parts/states.js'

/** @typedef {import('../lib/explain.js').Question} Question */
/** @typedef {import('../lib/shapes.js').Explanation} Explanation */
/** @typedef {import('../lib/shapes.js').RouteView} RouteView */

/** After the last key. ms. */
const TYPING_MS = 250
/** Events after which the answer may be another one. */
const CHANGES = new Set(['table', 'instance', 'ejection', 'panic', 'canary'])
const EXAMPLES = 8

/**
 * The answer to a question, asked again when something changes in the gateway.
 * @param {object | undefined} body Undefined: nothing can be asked.
 */
function useAnswer(body) {
  const [state, setState] = useState(/** @type {{ answer?: Explanation, problem?: string }} */ ({}))
  const text = body === undefined ? '' : JSON.stringify(body)
  useEffect(() => {
    if (text === '') {
      setState({})
      return
    }
    let isOver = false
    let timer = setTimeout(ask, TYPING_MS)
    async function ask() {
      try {
        const answer = await send('/api/explain', JSON.parse(text))
        if (!isOver) setState({ answer })
      } catch (thrown) {
        // The answer of another question must not stand below this one; without any answer the shell says so.
        const isStale = thrown instanceof ApiProblem && thrown.status === 0
        const problem = thrown instanceof Error ? thrown.message : String(thrown)
        if (!isOver) setState((before) => (isStale ? { ...before, problem } : { problem }))
      }
    }
    const stop = onEvent(({ type }) => {
      if (!CHANGES.has(type)) return
      clearTimeout(timer)
      timer = setTimeout(ask, TYPING_MS)
    })
    return () => {
      isOver = true
      clearTimeout(timer)
      stop()
    }
  }, [text])
  return state
}

/** @param {{ onChoose: (question: Question) => void }} props */
function Examples({ onChoose }) {
  /** @type {import('../lib/resource.js').Known<{ routes: readonly RouteView[] }>} */
  const { data } = useResource('/api/routes', { everyMs: 15_000, on: ['table'] })
  const questions = new Map(
    (data?.routes ?? []).map(exampleOf).map((one) => [`${one.method} ${one.url}`, one]),
  )
  const shown = [...questions].slice(0, EXAMPLES)
  return html`
    <div class="panel">
      <${Note} icon="explain" title="Where would this request go?">
        Write a URL above, or paste a whole <code>curl</code> command. Nothing is sent to a service.
      <//>
      ${
        shown.length > 0 &&
        html`<div class="examples" role="group" aria-label="Examples from your routes">${shown.map(
          ([
            key,
            question,
          ]) => html`<button type="button" class="button is-small" key=${key} onClick=${() => onChoose(question)}>
            <span class="muted">${question.method}</span> <span class="mono">${question.url.replace(/^http:\/\//, '')}</span>
          </button>`,
        )}</div>`
      }
    </div>
  `
}

/**
 * The question in the form, which is also in the address: there a little later, as browsers allow only so many changes.
 * @returns {[Question, (next: Question) => void, () => void]} The last one brings it there now.
 */
function useQuestion() {
  const { query } = useCell(place)
  const [question, setQuestion] = useState(() => questionOf(query))
  const written = useRef(JSON.stringify(question))
  const timer = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined))
  // Another address was followed: its question takes the place of the one in the form.
  useEffect(() => {
    const now = JSON.stringify(questionOf(place.get().query))
    if (now === written.current) return
    clearTimeout(timer.current)
    written.current = now
    setQuestion(JSON.parse(now))
  }, [query])
  useEffect(() => () => clearTimeout(timer.current), [])
  const write = (/** @type {Question} */ next) => {
    clearTimeout(timer.current)
    written.current = JSON.stringify(questionOf(queryOf(next)))
    goQuery(queryOf(next))
  }
  const change = (/** @type {Question} */ next) => {
    setQuestion(next)
    clearTimeout(timer.current)
    timer.current = setTimeout(write, TYPING_MS, next)
  }
  return [question, change, () => write(question)]
}

/** The question and its answer, as it is typed. */
function Explain() {
  const [question, change, write] = useQuestion()
  const { body, headersProblem, claimsProblem } = bodyOf(question)
  const { answer, problem } = useAnswer(body)
  return html`
    <div class="explain">
      <${Panel} title="Request" aside=${answer && html`answered from table ${answer.table.version}`}>
        <${ExplainForm} question=${question} headersProblem=${headersProblem} claimsProblem=${claimsProblem} onChange=${change} onShare=${write} />
      <//>
      <p class="hidden" role="status">${answer ? inShort(answer) : (problem ?? '')}</p>
      ${problem && html`<div class="panel"><${Note} icon="warning" title="It cannot be explained">${problem}<//></div>`}
      ${answer && html`<${ExplainAnswer} answer=${answer} />`}
      ${!answer && !problem && (body === undefined ? html`<${Examples} onChoose=${change} />` : html`<div class="panel explain-loading"><${Loading} rows=${5} /></div>`)}
    </div>
  `
}

/** @type {import('./index.js').ViewEntry} */
export const explain = { id: 'explain', title: 'Explain', group: 'Traffic', icon: 'explain', View: Explain }
