/** The recordings on their way to the server, as plain data. */
import type { Problem } from "../../api/problem";
import type { UploadOptions } from "../../api/types";

export interface Entry {
  id: number;
  file: File;
  options: UploadOptions;
  state: "waiting" | "sending" | "failed";
  sentBytes: number;
  problem?: Problem;
}

export type Change =
  | { type: "add"; files: File[]; options: UploadOptions; firstId: number }
  | { type: "start"; id: number }
  | { type: "progress"; id: number; sentBytes: number }
  | { type: "fail"; id: number; problem: Problem }
  | { type: "retry"; id: number; options: UploadOptions }
  | { type: "remove"; id: number };

export function change(queue: Entry[], action: Change): Entry[] {
  switch (action.type) {
    case "add": {
      const added = action.files.map((file, index): Entry => {
        return { id: action.firstId + index, file, options: action.options, state: "waiting", sentBytes: 0 };
      });
      return [...queue, ...added];
    }
    case "remove":
      return queue.filter((entry) => entry.id !== action.id);
    default:
      return queue.map((entry) => (entry.id === action.id ? changed(entry, action) : entry));
  }
}

function changed(entry: Entry, action: Exclude<Change, { type: "add" | "remove" }>): Entry {
  const { problem: _, ...rest } = entry;
  switch (action.type) {
    case "start":
      return { ...rest, state: "sending", sentBytes: 0 };
    case "progress":
      return { ...rest, sentBytes: action.sentBytes };
    case "fail":
      return { ...rest, state: "failed", problem: action.problem };
    case "retry":
      return { ...rest, options: action.options, state: "waiting", sentBytes: 0 };
  }
}

/** The entry to send next; one at a time, so that the first recording is not slowed down by the last. */
export function next(queue: Entry[]): Entry | undefined {
  return queue.some((entry) => entry.state === "sending")
    ? undefined
    : queue.find((entry) => entry.state === "waiting");
}

/** Whether leaving the page would lose something. */
export function isBusy(queue: Entry[]): boolean {
  return queue.some((entry) => entry.state !== "failed");
}
