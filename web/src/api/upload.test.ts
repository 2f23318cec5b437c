import { describe, expect, it } from "vitest";

import type { UploadOptions } from "./types";
import { form } from "./upload";

const OPTIONS: UploadOptions = { model: "small", language: "auto", task: "translate", wordTimestamps: true, initialPrompt: "  " };

describe("the upload form", () => {
  it("carries the options before the recording", () => {
    const body = form(new File(["x"], "Réunion.m4a"), OPTIONS);
    expect([...body.keys()]).toEqual(["model", "language", "task", "word_timestamps", "file"]);
    expect(body.get("word_timestamps")).toBe("true");
    expect((body.get("file") as File).name).toBe("Réunion.m4a");
  });

  it("carries a prompt only if there is one", () => {
    expect(form(new File([], "a"), { ...OPTIONS, initialPrompt: " Mainz " }).get("initial_prompt")).toBe("Mainz");
  });
});
