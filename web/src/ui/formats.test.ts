import { describe, expect, it } from "vitest";

import { ago, bytes, duration, language, percent, plural, position, sentence, speed } from "./formats";

/** As people see it: which of the spaces may not break is of no interest here. */
const seen = (text: string) => text.replaceAll("\u00a0", " ");

describe("formats", () => {
  it.each([
    [0, "0 bytes"],
    [999, "999 bytes"],
    [1_500, "1.5 kB"],
    [4_810_233, "4.8 MB"],
    [250_000_000, "250 MB"],
    [2_147_483_648, "2.1 GB"],
  ])("writes %d bytes as %s", (count, words) => expect(seen(bytes(count))).toBe(words));

  it.each([
    [0, "0 s"],
    [0.84, "0.8 s"],
    [9.96, "10 s"],
    [59.6, "1 min"],
    [200, "3 min 20 s"],
    [3_905, "1 h 05 min"],
  ])("writes %d seconds as %s", (seconds, words) => expect(seen(duration(seconds))).toBe(words));

  it.each([
    [0, "0:00"],
    [7.9, "0:07"],
    [760, "12:40"],
    [3_723, "1:02:03"],
  ])("writes the position %d as %s", (seconds, words) => expect(position(seconds)).toBe(words));

  it("tells how long ago something was", () => {
    const now = Date.parse("2026-11-22T12:00:00Z");
    expect(ago("2026-11-22T11:59:50Z", now)).toBe("just now");
    expect(ago("2026-11-22T12:00:20Z", now)).toBe("just now"); // clocks differ
    expect(ago("2026-11-22T11:59:05Z", now)).toBe("1 minute ago");
    expect(ago("2026-11-22T09:00:00Z", now)).toBe("3 hours ago");
    expect(ago("2026-11-21T11:00:00Z", now)).toBe("yesterday");
    expect(ago("2026-10-01T12:00:00Z", now)).toBe("1 Oct 2026");
  });

  it("names languages, Whisper's own codes included, and keeps what nobody knows", () => {
    expect(language("de")).toBe("German");
    expect(language("jw")).toBe("Javanese");
    expect(language("yue")).toBe("Cantonese");
    expect(language("qqq")).toBe("qqq");
    expect(language("not a code")).toBe("not a code");
  });

  it.each([
    ["no worker serves tiny; served: base", "No worker serves tiny; served: base."],
    ["Already one.", "Already one."],
    ["", ""],
  ])("makes a sentence of %j", (text, words) => expect(sentence(text)).toBe(words));

  it("rounds shares and speeds, and counts", () => {
    expect(percent(0.426)).toBe("43%");
    expect(seen(speed(24.4))).toBe("24× real time");
    expect(seen(speed(1.26))).toBe("1.3× real time");
    expect(plural(1, "recording")).toBe("1 recording");
    expect(plural(1_200, "word")).toBe("1,200 words");
  });
});
