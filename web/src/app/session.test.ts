import { describe, expect, it } from "vitest";

import { read } from "./session";

const STORED = { token: "t", username: "ann", expiresAt: 1_000 };

describe("a stored session", () => {
  it("is taken up until it expires", () => {
    expect(read(JSON.stringify(STORED), 999)).toEqual(STORED);
    expect(read(JSON.stringify(STORED), 1_000)).toBeUndefined();
  });

  it.each([null, "", "no json", "null", "{}", '{"token":5,"username":"ann","expiresAt":2000}'])(
    "that is %j counts as none",
    (text) => expect(read(text, 0)).toBeUndefined(),
  );
});
