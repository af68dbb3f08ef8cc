import { setImmediate } from 'node:timers/promises'

/** Work in slices: lets the event loop turn whenever the slice has used up its time. */
export interface Slicer {
  /** Await it now and then; resolves at once while there is time left. */
  pause(): Promise<void> | undefined
}

/** A slicer that yields after `sliceMs` (default 4). */
export function createSlicer(sliceMs = 4): Slicer {
  let until = performance.now() + sliceMs
  return {
    pause() {
      if (performance.now() < until) return undefined
      return setImmediate().then(() => {
        until = performance.now() + sliceMs
      })
    },
  }
}

const CHUNK = 256

/** A stable sort that never holds the loop for long: sorted chunks, merged. Returns a new array. */
export async function sortSliced<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
  slicer: Slicer,
): Promise<T[]> {
  let runs: T[][] = []
  for (let i = 0; i < items.length; i += CHUNK) {
    runs.push(items.slice(i, i + CHUNK).sort(compare))
    await slicer.pause()
  }
  while (runs.length > 1) {
    const merged: T[][] = []
    for (let i = 0; i < runs.length; i += 2) {
      const [a, b] = [runs[i] as T[], runs[i + 1]]
      merged.push(b === undefined ? a : await merge(a, b, compare, slicer))
    }
    runs = merged
  }
  return runs[0] ?? []
}

async function merge<T>(a: T[], b: T[], compare: (a: T, b: T) => number, slicer: Slicer): Promise<T[]> {
  const out: T[] = []
  let [i, j] = [0, 0]
  while (i < a.length && j < b.length) {
    out.push(compare(a[i] as T, b[j] as T) <= 0 ? (a[i++] as T) : (b[j++] as T))
    if ((out.length & 255) === 0) await slicer.pause()
  }
  while (i < a.length) out.push(a[i++] as T)
  while (j < b.length) out.push(b[j++] as T)
  return out
}
