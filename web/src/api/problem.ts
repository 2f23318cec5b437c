/** What can go wrong between the page and the server, as one type with a code and a sentence. */

interface ProblemDocument {
  title?: unknown;
  detail?: unknown;
  code?: unknown;
  service?: unknown;
  request_id?: unknown;
}

interface Facts {
  status: number;
  code: string;
  title: string;
  service?: string | undefined;
  requestId?: string | undefined;
}

/** An error that people are shown: the message is a sentence for them. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  /** The service that reports the problem; empty if the page itself does. */
  readonly service: string | undefined;
  readonly requestId: string | undefined;

  constructor(detail: string, facts: Facts) {
    super(detail);
    this.status = facts.status;
    this.code = facts.code;
    this.title = facts.title;
    this.service = facts.service;
    this.requestId = facts.requestId;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The problem in an error answer's body (RFC 9457), or an honest stand-in when the body is something else. */
export function problemOf(status: number, body: string): Problem {
  let document: ProblemDocument = {};
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === "object" && parsed !== null) document = parsed;
  } catch {
    // A proxy in between answers in its own words, which are none for people.
  }
  return new Problem(text(document.detail) ?? `The server answered with status ${status} and no explanation.`, {
    status,
    code: text(document.code) ?? `http_${status}`,
    title: text(document.title) ?? "The request failed",
    service: text(document.service),
    requestId: text(document.request_id),
  });
}

/** The server could not be reached, or the connection broke. */
export function unreachable(): Problem {
  return new Problem("The server cannot be reached. Check the connection; the page keeps trying where it can.", {
    status: 0,
    code: "unreachable",
    title: "No connection",
  });
}

/** Whatever was thrown, as a problem. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem(error instanceof Error ? error.message : String(error), {
    status: 0,
    code: "page_error",
    title: "Unexpected error",
  });
}

/** Whether this is only the end of something that was stopped on purpose. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
