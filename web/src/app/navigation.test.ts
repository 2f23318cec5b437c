import { describe, expect, it } from "vitest";

import { addressOf, viewOf } from "./navigation";

const ID = "4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10";

describe("addresses", () => {
  it("lead to a job and back", () => {
    const view = { name: "job", id: ID } as const;
    expect(addressOf(view, "/app/")).toBe(`/app/jobs/${ID}`);
    expect(viewOf(addressOf(view, "/app/"), "/app/")).toEqual(view);
    expect(viewOf(`/app/jobs/${ID}/`, "/app/")).toEqual(view);
  });

  it.each(["/app/", "/app/jobs/", "/app/jobs/5", `/other/jobs/${ID}`, `/app/jobs/${ID}/x`, "/app/nowhere"])(
    "%s shows the list",
    (path) => expect(viewOf(path, "/app/")).toEqual({ name: "jobs" }),
  );
});
