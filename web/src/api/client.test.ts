import { afterEach, describe, expect, it, vi } from "vitest";

import { Client, fileName, signIn, signOut } from "./client";
import type { Problem } from "./problem";

function answer(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers });
}

function serve(...answers: (Response | Error)[]) {
  const fetched = vi.fn<typeof fetch>(async () => {
    const next = answers.shift();
    if (next === undefined || next instanceof Error) throw next ?? new Error("asked too often");
    return next;
  });
  vi.stubGlobal("fetch", fetched);
  return fetched;
}

afterEach(() => vi.unstubAllGlobals());

describe("the client", () => {
  it("signs in with a form, and keeps the password out of the address", async () => {
    const fetched = serve(answer(200, { access_token: "t", token_type: "bearer", expires_in: 60 }));
    expect((await signIn("ann", "pass word&")).access_token).toBe("t");
    const [path, init] = fetched.mock.calls[0]!;
    expect(path).toBe("/token");
    expect(String(init?.body)).toBe("username=ann&password=pass+word%26");
  });

  it("ends the session on the server in a request that outlives the page", async () => {
    const fetched = serve(new Response(null, { status: 204 }));
    await signOut("secret");
    const [path, init] = fetched.mock.calls[0]!;
    expect([path, init?.method, init?.keepalive]).toEqual(["/logout", "POST", true]);
    expect(init?.headers).toEqual({ Authorization: "Bearer secret" });
  });

  it("sends the token and asks for the page that is wanted", async () => {
    const fetched = serve(answer(200, { items: [], next_cursor: null }));
    await new Client("secret", () => {}).jobs({ limit: 25, cursor: "a b", state: "failed" });
    const [path, init] = fetched.mock.calls[0]!;
    expect(path).toBe("/jobs?limit=25&cursor=a+b&state=failed");
    expect(init?.headers).toEqual({ Authorization: "Bearer secret" });
  });

  it("sends a restart as JSON", async () => {
    const fetched = serve(answer(200, {}));
    await new Client("secret", () => {}).restartWithTrack("j", "mix");
    const [path, init] = fetched.mock.calls[0]!;
    expect([path, init?.method, init?.body]).toEqual(["/jobs/j/restart", "POST", '{"track":"mix"}']);
    expect(init?.headers).toEqual({ "Content-Type": "application/json", Authorization: "Bearer secret" });
  });

  it("ends the session when the token is no longer valid, and still says why", async () => {
    serve(answer(401, { detail: "The token has expired.", code: "token_expired" }));
    const ended: Problem[] = [];
    const client = new Client("old", (problem) => ended.push(problem));
    await expect(client.me()).rejects.toMatchObject({ code: "token_expired" });
    expect(ended).toHaveLength(1);
  });

  it("does not end the session over anything else", async () => {
    serve(answer(404, { code: "job_not_found" }), new TypeError("Failed to fetch"));
    const client = new Client("t", () => expect.unreachable());
    await expect(client.job("x")).rejects.toMatchObject({ code: "job_not_found" });
    await expect(client.job("x")).rejects.toMatchObject({ code: "unreachable" });
  });

  it("names a download as the server suggests", async () => {
    serve(answer(200, "text", { "content-disposition": "attachment; filename=\"R_union.txt\"; filename*=UTF-8''R%C3%A9union.txt" }));
    expect((await new Client("t", () => {}).download("id", "txt")).name).toBe("Réunion.txt");
  });

  it.each([
    [null, undefined],
    ["attachment", undefined],
    ['attachment; filename="a \\"b\\".txt"', 'a "b".txt'],
    ["attachment; filename=plain.srt", "plain.srt"],
    ["attachment; filename*=UTF-8''%E0%A4%A; filename=fallback.txt", "fallback.txt"],
  ])("reads the file name in %j", (header, name) => expect(fileName(header)).toBe(name));
});
