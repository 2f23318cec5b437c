/** Data that is polled while the page is visible. */
import { useCallback, useEffect, useRef, useState } from "react";

import { asProblem, isAbort, type Problem } from "../api/problem";

export interface Polled<T> {
  data: T | undefined;
  /** Why the latest try failed; the data is then what came before. */
  problem: Problem | undefined;
  refresh: () => void;
}

/**
 * Ask now, whenever `key` changes, and again after the pause that `pauseAfter` gives (milliseconds; null = no more).
 * Nothing is asked while the page is hidden. A null key asks for nothing.
 */
export function usePolled<T>(
  key: string | null,
  ask: (signal: AbortSignal) => Promise<T>,
  pauseAfter: (data: T | undefined) => number | null,
): Polled<T> {
  const [state, setState] = useState<{ key: string | null; data?: T; problem?: Problem }>({ key });
  const [round, setRound] = useState(0);
  const latest = useRef({ ask, pauseAfter });
  useEffect(() => {
    latest.current = { ask, pauseAfter };
  });

  useEffect(() => {
    if (key === null) return undefined;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;

    const again = (data: T | undefined) => {
      const pause = latest.current.pauseAfter(data);
      if (pause !== null && !stop.signal.aborted) timer = setTimeout(run, pause);
    };
    const run = () => {
      if (document.hidden) return; // the visibility listener runs it
      latest.current.ask(stop.signal).then(
        (data) => {
          if (stop.signal.aborted) return;
          setState({ key, data });
          again(data);
        },
        (error: unknown) => {
          if (stop.signal.aborted || isAbort(error)) return;
          const problem = asProblem(error);
          setState((before) => (before.key === key ? { ...before, problem } : { key, problem }));
          if (problem.status === 0 || problem.status >= 500) again(undefined);
        },
      );
    };
    const wake = () => {
      clearTimeout(timer);
      run();
    };
    document.addEventListener("visibilitychange", wake);
    run();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", wake);
    };
  }, [key, round]);

  const refresh = useCallback(() => setRound((before) => before + 1), []);
  const current = state.key === key ? state : undefined;
  return { data: current?.data, problem: current?.problem, refresh };
}
