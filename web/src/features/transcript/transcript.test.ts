import { describe, expect, it } from "vitest";

import { ordered } from "./Downloads";
import { plainText } from "./TranscriptPanel";

describe("the transcript", () => {
  it("is copied as one line a segment", () => {
    const segments = [
      { id: 0, start: 0, end: 1, text: " Hello there." },
      { id: 1, start: 1, end: 2, text: " Goodbye." },
    ];
    expect(plainText(segments)).toBe("Hello there.\nGoodbye.");
  });

  it("offers text first, and formats it has never heard of last", () => {
    expect(ordered(["json", "zip", "srt", "txt"])).toEqual(["txt", "srt", "json", "zip"]);
  });
});
