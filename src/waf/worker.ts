import { parentPort, workerData } from 'node:worker_threads'
import { errorText } from '../core/errors.ts'
import { Inspector } from './inspector.ts'
import type { Verdict, WorkerCommand, WorkerReport } from './types.ts'

/** A thread with an own libmodsecurity instance; started by WafEngine, once for each worker. */

const port = parentPort
const { library } = workerData as { readonly library: string }

const report = (message: WorkerReport): void => port?.postMessage(message)

function answered(job: number, work: () => Verdict): void {
  try {
    report({ type: 'done', job, verdict: work() })
  } catch (thrown) {
    report({ type: 'failed', job, problem: errorText(thrown) })
  }
}

function obey(inspector: Inspector, command: WorkerCommand): void {
  switch (command.type) {
    case 'load':
      try {
        const rules = inspector.load(command.set, command.parts, command.blockingParanoia)
        report({ type: 'loaded', job: command.job, rules })
      } catch (thrown) {
        report({ type: 'failed', job: command.job, problem: errorText(thrown) })
      }
      return
    case 'request': {
      const { job, set, request, keep } = command
      answered(job, () => inspector.request(set, request, keep ? job : undefined))
      return
    }
    case 'answer':
      answered(command.job, () => inspector.answer(command.transaction, command.answer))
      return
    case 'answerBody':
      answered(command.job, () => inspector.answerBody(command.transaction, command.body))
      return
    case 'end':
      inspector.end(command.transaction)
      return
    case 'drop':
      inspector.drop(command.set)
      return
    case 'handles':
      report({ type: 'handles', job: command.job, ...inspector.handles })
      return
    case 'close':
      inspector.close()
      port?.close()
  }
}

try {
  const inspector = new Inspector(library)
  port?.on('message', (command: WorkerCommand) => obey(inspector, command))
  report({ type: 'ready', version: inspector.version })
} catch (thrown) {
  report({ type: 'missing', problem: errorText(thrown) })
}
