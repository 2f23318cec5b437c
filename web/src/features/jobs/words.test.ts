import { describe, expect, it } from "vitest";

import type { Job } from "../../api/types";
import { isActive, shareDone, summary, timings, wordsFor } from "./words";

function job(part: Partial<Job>): Job {
  return {
    id: "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10",
    owner_id: "0d9a4f2e-51c7-4f0e-8a34-6f1f3a2b9c77",
    owner_name: "ada",
    file_name: "interview.mp3",
    content_type: "audio/mpeg",
    size_bytes: 1,
    sha256: "",
    state: "processing",
    reason_code: null,
    reason: null,
    stage: "transcribing",
    progress: 0.4,
    attempt: 1,
    options: {
      model: "base",
      language: null,
      task: "transcribe",
      word_timestamps: false,
      initial_prompt: null,
      multilingual: false,
      track: null,
    },
    language: "en",
    duration_seconds: 301.4,
    speech_seconds: null,
    source: null,
    warnings: [],
    chunks_total: 5,
    chunks_done: 2,
    transcript_attempt: null,
    formats: [],
    keywords: [],
    tags: [],
    priority: "normal",
    callback_url: null,
    duplicate_of: null,
    queued_at: "2026-11-22T12:00:00Z",
    created_at: "2026-11-22T12:00:00Z",
    started_at: null,
    transcribed_at: null,
    finished_at: null,
    timings: {
      queue_seconds: null,
      transcription_seconds: null,
      enrichment_seconds: null,
      decode_seconds: null,
      real_time_factor: null,
    },
    ...part,
  };
}

/** As people see it: which of the spaces may not break is of no interest here. */
const seen = (text: string) => text.replaceAll("\u00a0", " ");

describe("a job in words", () => {
  it("says what is happening", () => {
    expect(wordsFor(job({})).sentence).toBe("Transcribing: 2 of 5 parts done.");
    expect(wordsFor(job({ stage: "planning" })).sentence).toContain("Listening");
    expect(wordsFor(job({ state: "queued", stage: "waiting" })).tone).toBe("waiting");
    expect(wordsFor(job({ state: "enriching", stage: "enriching" })).sentence).toContain("ready");
  });

  it("repeats the reason that the server gives, also when a job is done", () => {
    expect(wordsFor(job({ state: "failed", reason: "The file holds no audio." })).sentence).toBe("The file holds no audio.");
    expect(wordsFor(job({ state: "completed", reason: "No speech was found." })).sentence).toBe("No speech was found.");
  });

  it("admits it when nobody gave a reason", () => {
    expect(wordsFor(job({ state: "failed" })).sentence).toContain("without a text or a reason");
  });

  it("knows how far it is only when the server does", () => {
    expect(shareDone(job({}))).toBe(0.4);
    expect(shareDone(job({ stage: "planning", progress: 0 }))).toBeUndefined();
    expect(shareDone(job({ stage: "assembling" }))).toBe(1);
  });

  it("is active until it is over", () => {
    const states = ["queued", "processing", "enriching", "completed", "failed", "cancelled"] as const;
    expect(states.filter((state) => isActive(job({ state })))).toEqual(["queued", "processing", "enriching"]);
  });

  it("sums up model, language and length", () => {
    expect(seen(summary(job({})))).toBe("base · English · 5 min 01 s");
    expect(seen(summary(job({ language: null, duration_seconds: null })))).toBe("base");
    const translated = { ...job({}).options, task: "translate" as const };
    expect(seen(summary(job({ language: "de", options: translated })))).toBe("base · German · into English · 5 min 01 s");
  });

  it("tells the times that are known and no others", () => {
    expect(timings(job({}))).toEqual([]);
    const known = { ...job({}).timings, queue_seconds: 0.8, transcription_seconds: 12, real_time_factor: 25.1 };
    expect(timings(job({ timings: known })).map(([name, value]) => [name, seen(value)])).toEqual([
      ["Waited", "0.8 s"],
      ["Transcribed in", "12 s"],
      ["Speed", "25× real time"],
    ]);
  });
});
