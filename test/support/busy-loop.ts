/**
 * For `node --import`: SIGUSR2 makes the event loop of the process as late as if it had far too much to do (each turn
 * takes BUSY_MS), the next one ends that.
 */
const turnMs = Number(process.env['BUSY_MS'] ?? 250)
const cell = new Int32Array(new SharedArrayBuffer(4))
let isBusy = false

function turn(): void {
  if (!isBusy) return
  Atomics.wait(cell, 0, 0, turnMs)
  setImmediate(turn)
}

process.on('SIGUSR2', () => {
  isBusy = !isBusy
  turn()
})
