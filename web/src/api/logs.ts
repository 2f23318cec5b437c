/** A job's log as it happens. */

const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 15_000;
/** The server's close code for a token that has expired. */
export const TOKEN_EXPIRED = 4401;
/** The same for a user who has too many streams open. */
const TOO_MANY = 4429;

export type LogState = "connecting" | "live" | "waiting" | "ended";

export interface LogListener {
  onRecord(record: Record<string, unknown>): void;
  onState(state: LogState): void;
}

/** Listen until closed; a broken connection is made again, and the server then repeats what was said. */
export class LogConnection {
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private pause = FIRST_PAUSE;
  private closed = false;

  constructor(
    private readonly url: string,
    private readonly token: string,
    private readonly listener: LogListener,
    private readonly Socket: typeof WebSocket = WebSocket,
  ) {
    this.connect();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  private connect(): void {
    this.listener.onState("connecting");
    // Browsers can set no header here; a subprotocol keeps the token out of addresses and their logs.
    const socket = new this.Socket(this.url, ["verbatim", `bearer.${this.token}`]);
    this.socket = socket;
    socket.onopen = () => {
      this.pause = FIRST_PAUSE;
      if (!this.closed) this.listener.onState("live");
    };
    socket.onmessage = (event) => {
      const record = parsed(event.data);
      if (record !== undefined && !this.closed) this.listener.onRecord(record);
    };
    socket.onclose = (event) => {
      if (this.closed) return;
      if (event.code === TOKEN_EXPIRED) {
        this.listener.onState("ended");
        return;
      }
      this.listener.onState("waiting");
      if (event.code === TOO_MANY) this.pause = LONGEST_PAUSE;
      this.timer = setTimeout(() => this.connect(), this.pause);
      this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
    };
  }
}

/** The WebSocket address of a job's log on the server that the page came from. */
export function logUrl(jobId: string, page: { protocol: string; host: string }): string {
  return `${page.protocol === "https:" ? "wss" : "ws"}://${page.host}/ws/logs/${jobId}`;
}

function parsed(data: unknown): Record<string, unknown> | undefined {
  if (typeof data !== "string") return undefined;
  try {
    const record: unknown = JSON.parse(data);
    return typeof record === "object" && record !== null ? (record as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
