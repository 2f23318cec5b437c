/** Log records as lines for people. */

export interface Line {
  id: string;
  time: string;
  level: string;
  service: string;
  text: string;
  /** The record's own keys, as "key=value". */
  details: string;
}

/** Lines kept; what is older is in the archive. */
export const KEPT = 2_000;

/** Where a record came from; who waits for a job does not need it. */
const ORIGIN = new Set([
  "log_id",
  "timestamp",
  "level",
  "event",
  "service",
  "instance",
  "logger",
  "correlation_id",
  "trace_id",
  "job_id",
]);

export function lineOf(record: Record<string, unknown>): Line {
  const own = Object.entries(record).filter(([name]) => !ORIGIN.has(name));
  return {
    id: text(record.log_id),
    time: text(record.timestamp),
    level: text(record.level) || "info",
    service: text(record.service),
    text: text(record.event),
    details: own.map(([name, value]) => `${name}=${text(value)}`).join("  "),
  };
}

/** Append lines that are not there yet: after a reconnect the server repeats what it said. */
export function merged(lines: Line[], added: Line[], limit: number = KEPT): Line[] {
  const known = new Set(lines.map((line) => line.id));
  const fresh: Line[] = [];
  for (const line of added) {
    if (line.id !== "" && known.has(line.id)) continue;
    known.add(line.id);
    fresh.push(line);
  }
  return fresh.length === 0 ? lines : [...lines, ...fresh].slice(-limit);
}

/** The time of day of a record, "12:03:59". */
export function timeOfDay(iso: string): string {
  const moment = new Date(iso);
  return Number.isNaN(moment.getTime()) ? "" : moment.toLocaleTimeString("en-GB");
}

function text(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
