/** The gateway's HTTP interface. */
import { Problem, problemOf, unreachable } from "./problem";
import type { Job, JobPage, Me, Metadata, State, Token, Transcript } from "./types";

/** Exchange a name and a password for an access token. */
export async function signIn(username: string, password: string): Promise<Token> {
  const body = new URLSearchParams({ username, password });
  const response = await send("/token", { method: "POST", body });
  return (await response.json()) as Token;
}

/** End the session on the server: its tokens are void at once. The request outlives the page that sends it. */
export async function signOut(token: string): Promise<void> {
  await send("/logout", { method: "POST", headers: { Authorization: `Bearer ${token}` }, keepalive: true });
}

/** The calls that need an access token. */
export class Client {
  constructor(
    readonly token: string,
    private readonly onUnauthorized: (problem: Problem) => void,
  ) {}

  async me(signal?: AbortSignal): Promise<Me> {
    return this.json("/me", signal);
  }

  async jobs(query: { limit: number; cursor?: string | null; state?: State | "" }, signal?: AbortSignal) {
    const params = new URLSearchParams({ limit: String(query.limit) });
    if (query.cursor) params.set("cursor", query.cursor);
    if (query.state) params.set("state", query.state);
    return this.json<JobPage>(`/jobs?${params}`, signal);
  }

  async job(id: string, signal?: AbortSignal): Promise<Job> {
    return this.json(`/jobs/${id}`, signal);
  }

  async deleteJob(id: string): Promise<void> {
    await this.request(`/jobs/${id}`, { method: "DELETE" });
  }

  /** Transcribe a finished job once more, from another audio track or from all of them mixed. */
  async restartWithTrack(id: string, track: number | "mix"): Promise<void> {
    const headers = { "Content-Type": "application/json" };
    await this.request(`/jobs/${id}/restart`, { method: "POST", headers, body: JSON.stringify({ track }) });
  }

  async transcript(id: string, signal?: AbortSignal): Promise<Transcript> {
    return this.json(`/jobs/${id}/download?format=json`, signal);
  }

  async metadata(id: string, signal?: AbortSignal): Promise<Metadata> {
    return this.json(`/metadata/${id}`, signal);
  }

  /** A transcript as a file, under the name that the server suggests. */
  async download(id: string, format: string): Promise<{ name: string; content: Blob }> {
    const response = await this.request(`/jobs/${id}/download?format=${encodeURIComponent(format)}`);
    const name = fileName(response.headers.get("content-disposition")) ?? `transcript.${format}`;
    return { name, content: await response.blob() };
  }

  /** Notify the session when the server rejects the token. */
  report(problem: Problem): void {
    if (problem.status === 401) this.onUnauthorized(problem);
  }

  private async json<T>(path: string, signal?: AbortSignal): Promise<T> {
    const response = await this.request(path, signal ? { signal } : {});
    return (await response.json()) as T;
  }

  private async request(path: string, init: RequestInit = {}): Promise<Response> {
    try {
      return await send(path, { ...init, headers: { ...init.headers, Authorization: `Bearer ${this.token}` } });
    } catch (error) {
      if (error instanceof Problem) this.report(error);
      throw error;
    }
  }
}

async function send(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, credentials: "omit", cache: "no-store" });
  } catch (error) {
    if (error instanceof TypeError) throw unreachable();
    throw error;
  }
  if (!response.ok) throw problemOf(response.status, await response.text());
  return response;
}

/** The file name in a Content-Disposition header (RFC 6266), the extended form first. */
export function fileName(header: string | null): string | undefined {
  if (header === null) return undefined;
  const extended = /filename\*\s*=\s*UTF-8''([^;]+)/i.exec(header)?.[1];
  if (extended !== undefined) {
    try {
      return decodeURIComponent(extended.trim());
    } catch {
      // Fall through to the plain form.
    }
  }
  const plain = /filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]+))/i.exec(header);
  return plain?.[1]?.replace(/\\(.)/g, "$1") ?? plain?.[2]?.trim();
}
