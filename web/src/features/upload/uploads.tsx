/** Sends recordings one after the other, whichever view is shown. */
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useReducer, useRef, useState } from "react";

import { asProblem, isAbort } from "../../api/problem";
import type { UploadOptions } from "../../api/types";
import { upload } from "../../api/upload";
import { useSession } from "../../app/session";
import { change, type Entry, isBusy, next } from "./queue";

interface Uploads {
  queue: Entry[];
  /** Counts the recordings that became jobs: lists of jobs reload when it changes. */
  arrived: number;
  add: (files: File[], options: UploadOptions) => void;
  retry: (id: number, options: UploadOptions) => void;
  /** Take a recording out of the queue; one that is being sent is stopped. */
  remove: (id: number) => void;
}

const UploadsContext = createContext<Uploads | undefined>(undefined);

export function useUploads(): Uploads {
  const uploads = useContext(UploadsContext);
  if (uploads === undefined) throw new Error("useUploads outside of its provider");
  return uploads;
}

export function UploadsProvider({ children }: { children: ReactNode }) {
  const { client } = useSession();
  const [queue, dispatch] = useReducer(change, []);
  const [arrived, setArrived] = useState(0);
  const ids = useRef(0);
  const sending = useRef<{ id: number; stop: AbortController }>(undefined);

  const send = useCallback(
    async (entry: Entry) => {
      const stop = new AbortController();
      sending.current = { id: entry.id, stop };
      dispatch({ type: "start", id: entry.id });
      const progress = (sentBytes: number) => dispatch({ type: "progress", id: entry.id, sentBytes });
      try {
        await upload(entry.file, entry.options, client.token, progress, stop.signal);
        dispatch({ type: "remove", id: entry.id });
        setArrived((count) => count + 1);
      } catch (error) {
        if (isAbort(error)) {
          dispatch({ type: "remove", id: entry.id });
          return;
        }
        const problem = asProblem(error);
        dispatch({ type: "fail", id: entry.id, problem });
        client.report(problem);
      }
    },
    [client],
  );

  const following = next(queue);
  useEffect(() => {
    if (following !== undefined && sending.current?.id !== following.id) void send(following);
  }, [following, send]);

  const busy = isBusy(queue);
  useEffect(() => {
    if (!busy) return undefined;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [busy]);

  // Signing out takes this provider away, and the upload with it.
  useEffect(() => () => sending.current?.stop.abort(), []);

  const uploads = useMemo<Uploads>(
    () => ({
      queue,
      arrived,
      add: (files, options) => {
        dispatch({ type: "add", files, options, firstId: ids.current + 1 });
        ids.current += files.length;
      },
      retry: (id, options) => {
        if (sending.current?.id === id) sending.current = undefined;
        dispatch({ type: "retry", id, options });
      },
      remove: (id) => {
        if (sending.current?.id === id) sending.current.stop.abort();
        dispatch({ type: "remove", id });
      },
    }),
    [queue, arrived],
  );
  return <UploadsContext value={uploads}>{children}</UploadsContext>;
}
