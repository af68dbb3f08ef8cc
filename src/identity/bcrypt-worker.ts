import { parentPort } from 'node:worker_threads'
import { compareSync } from 'bcryptjs'

/** The thread of `BcryptThread`: bcrypt in JavaScript holds an event loop for 70 ms and more, so not that one. */
parentPort?.on('message', ({ id, password, hash }: { id: number; password: string; hash: string }) => {
  let isRight = false
  let isFailed = false
  try {
    isRight = compareSync(password, hash)
  } catch {
    isFailed = true
  }
  parentPort?.postMessage({ id, isRight, isFailed })
})
