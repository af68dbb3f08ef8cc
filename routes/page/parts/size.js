// @ts-check
import { useEffect, useRef, useState } from 'preact/hooks'

/** The inner width of an element; 0 before it is known. @returns {[import('preact').RefObject<any>, number]} */
export function useWidth() {
  const ref = useRef(/** @type {any} */ (null))
  const [width, setWidth] = useState(0)
  useEffect(() => {
    const look = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)))
    look.observe(ref.current)
    return () => look.disconnect()
  }, [])
  return [ref, width]
}
