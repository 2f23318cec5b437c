import { describe, expect, it } from "vitest";

import { lineOf, merged, timeOfDay } from "./lines";

const record = (log_id: string, more: object = {}) => ({
  log_id,
  timestamp: "2026-11-22T12:00:00.123456+00:00",
  level: "info",
  service: "transcriber",
  instance: "host-1",
  correlation_id: "c",
  job_id: "j",
  event: "chunk decoded",
  ...more,
});

describe("log lines", () => {
  it("show the record's own keys and leave its origin out", () => {
    const line = lineOf(record("1", { chunk: 3, seconds: 0.5, model: "base", gone: null }));
    expect(line.text).toBe("chunk decoded");
    expect(line.details).toBe("chunk=3  seconds=0.5  model=base  gone=");
  });

  it("survive records that lack everything", () => {
    expect(lineOf({})).toMatchObject({ id: "", level: "info", text: "", details: "" });
    expect(timeOfDay("")).toBe("");
  });

  it("are appended once, also when the server repeats itself", () => {
    const first = [lineOf(record("1")), lineOf(record("2"))];
    const all = merged(first, [lineOf(record("2")), lineOf(record("3")), lineOf(record("3"))]);
    expect(all.map((line) => line.id)).toEqual(["1", "2", "3"]);
    expect(merged(all, [lineOf(record("1"))])).toBe(all);
  });

  it("are dropped from the top when there are too many", () => {
    const all = merged([lineOf(record("1"))], [lineOf(record("2")), lineOf(record("3"))], 2);
    expect(all.map((line) => line.id)).toEqual(["2", "3"]);
  });

  it("without an id are all kept", () => {
    expect(merged([], [lineOf({ event: "a" }), lineOf({ event: "b" })])).toHaveLength(2);
  });
});
