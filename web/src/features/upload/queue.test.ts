import { describe, expect, it } from "vitest";

import { unreachable } from "../../api/problem";
import { DEFAULTS, LANGUAGES } from "./options";
import { type Change, change, type Entry, isBusy, next } from "./queue";

const files = ["a.wav", "b.wav"].map((name) => new File(["x"], name));
const after = (...changes: Change[]) => changes.reduce(change, [] as Entry[]);
const ADDED: Change = { type: "add", files, options: DEFAULTS, firstId: 1 };

describe("the upload queue", () => {
  it("sends one recording at a time, in order", () => {
    expect(next(after(ADDED))?.id).toBe(1);
    expect(next(after(ADDED, { type: "start", id: 1 }))).toBeUndefined();
    expect(next(after(ADDED, { type: "start", id: 1 }, { type: "remove", id: 1 }))?.id).toBe(2);
  });

  it("goes on with the next one when one fails", () => {
    const queue = after(ADDED, { type: "start", id: 1 }, { type: "fail", id: 1, problem: unreachable() });
    expect(queue[0]).toMatchObject({ state: "failed", problem: { code: "unreachable" } });
    expect(next(queue)?.id).toBe(2);
  });

  it("starts anew, without the old problem, when a failed one is tried again", () => {
    const failed = after(ADDED, { type: "progress", id: 1, sentBytes: 1 }, { type: "fail", id: 1, problem: unreachable() });
    const [entry] = change(failed, { type: "retry", id: 1, options: { ...DEFAULTS, model: "small" } });
    expect(entry).toMatchObject({ state: "waiting", sentBytes: 0, options: { model: "small" } });
    expect(entry).not.toHaveProperty("problem");
  });

  it("keeps the options that were chosen when it was filled", () => {
    const later = { ...DEFAULTS, model: "small" };
    const queue = after(ADDED, { type: "add", files, options: later, firstId: 3 });
    expect(queue.map((entry) => entry.options.model)).toEqual(["base", "base", "small", "small"]);
  });

  it("has something to lose while anything is not sent", () => {
    expect(isBusy([])).toBe(false);
    expect(isBusy(after(ADDED))).toBe(true);
    expect(isBusy(files.map((_, id) => id + 1).reduce((queue, id) => change(queue, { type: "fail", id, problem: unreachable() }), after(ADDED)))).toBe(false);
  });
});

describe("the languages", () => {
  it("all have a name, each once, in the order of the alphabet", () => {
    const names = LANGUAGES.map(([, name]) => name);
    expect(LANGUAGES).toHaveLength(100);
    expect(LANGUAGES.filter(([code, name]) => code === name)).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
    expect(names[0]).toBe("Afrikaans");
  });
});
