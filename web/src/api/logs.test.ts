import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { LogConnection, logUrl, TOKEN_EXPIRED } from "./logs";

/** Stands in for the browser's WebSocket. */
class Socket {
  static made: Socket[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: unknown }) => void;
  onclose?: (event: { code: number }) => void;
  closed = false;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    Socket.made.push(this);
  }

  close() {
    this.closed = true;
  }
}

function listen() {
  const records: Record<string, unknown>[] = [];
  const states: string[] = [];
  const listener = {
    onRecord: (record: Record<string, unknown>) => records.push(record),
    onState: (state: string) => states.push(state),
  };
  const connection = new LogConnection("ws://host/ws/logs/1", "tok", listener, Socket as unknown as typeof WebSocket);
  return { records, states, connection };
}

const latest = () => Socket.made.at(-1)!;

beforeEach(() => {
  Socket.made = [];
  vi.useFakeTimers();
});
afterEach(() => void vi.useRealTimers());

describe("the log connection", () => {
  it("carries the token in a subprotocol, never in the address", () => {
    listen();
    expect(latest().protocols).toEqual(["verbatim", "bearer.tok"]);
    expect(latest().url).not.toContain("tok");
  });

  it("passes records on, and over what is none", () => {
    const { records, states } = listen();
    latest().onopen?.();
    for (const data of ['{"event":"chunk decoded"}', "not json", "5", new ArrayBuffer(1)]) latest().onmessage?.({ data });
    expect(records).toEqual([{ event: "chunk decoded" }]);
    expect(states).toEqual(["connecting", "live"]);
  });

  it("connects again with growing pauses, and starts small after a success", () => {
    const { states } = listen();
    latest().onclose?.({ code: 1006 });
    vi.advanceTimersByTime(1_000);
    expect(Socket.made).toHaveLength(2);
    latest().onclose?.({ code: 1006 });
    vi.advanceTimersByTime(1_999);
    expect(Socket.made).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(Socket.made).toHaveLength(3);
    latest().onopen?.();
    latest().onclose?.({ code: 1011 });
    vi.advanceTimersByTime(1_000);
    expect(Socket.made).toHaveLength(4);
    expect(states.at(-1)).toBe("connecting");
  });

  it("does not knock again with an expired token", () => {
    const { states } = listen();
    latest().onclose?.({ code: TOKEN_EXPIRED });
    vi.advanceTimersByTime(60_000);
    expect(Socket.made).toHaveLength(1);
    expect(states.at(-1)).toBe("ended");
  });

  it("stays closed when it was closed on purpose", () => {
    const { states, connection } = listen();
    connection.close();
    latest().onclose?.({ code: 1000 });
    vi.advanceTimersByTime(60_000);
    expect(latest().closed).toBe(true);
    expect(Socket.made).toHaveLength(1);
    expect(states).toEqual(["connecting"]);
  });

  it("goes where the page came from", () => {
    expect(logUrl("1", { protocol: "https:", host: "a.example:8443" })).toBe("wss://a.example:8443/ws/logs/1");
    expect(logUrl("1", { protocol: "http:", host: "localhost" })).toBe("ws://localhost/ws/logs/1");
  });
});
