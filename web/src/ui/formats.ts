/** Numbers, times and names as people read them. */

/** Keeps a number and its unit on one line. */
const NBSP = "\u00a0";

const SIZES = ["bytes", "kB", "MB", "GB", "TB"];

export function bytes(count: number): string {
  let unit = 0;
  let size = count;
  while (size >= 1000 && unit < SIZES.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)}${NBSP}${SIZES[unit]}`;
}

/** A length of time: "0.8 s", "42 s", "3 min 20 s", "1 h 05 min". */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${(Math.round(seconds * 10) / 10).toString()}${NBSP}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}${NBSP}s`;
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  if (hours > 0) return `${hours}${NBSP}h${NBSP}${String(minutes).padStart(2, "0")}${NBSP}min`;
  return rest === 0 ? `${minutes}${NBSP}min` : `${minutes}${NBSP}min${NBSP}${String(rest).padStart(2, "0")}${NBSP}s`;
}

/** A place in a recording: "0:07", "12:40", "1:02:03". */
export function position(seconds: number): string {
  const whole = Math.floor(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const tail = `${String(minutes).padStart(hours > 0 ? 2 : 1, "0")}:${String(rest).padStart(2, "0")}`;
  return hours > 0 ? `${hours}:${tail}` : tail;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}

/** How much faster than listening: "24× real time". */
export function speed(factor: number): string {
  return `${factor >= 10 ? Math.round(factor) : factor.toFixed(1)}×${NBSP}real${NBSP}time`;
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** How long ago a moment was: "just now", "5 minutes ago", "yesterday"; a date when it is more than a week. */
export function ago(moment: string, now: number = Date.now()): string {
  const seconds = (now - Date.parse(moment)) / 1000;
  if (seconds < 45) return "just now";
  if (seconds > 7 * 86_400) return new Date(moment).toLocaleDateString("en-GB", { dateStyle: "medium" });
  for (const [unit, size] of STEPS) {
    if (seconds >= size) return relative.format(-Math.round(seconds / size), unit);
  }
  return relative.format(-1, "minute");
}

/** Date and time in full, for titles. */
export function moment(iso: string): string {
  return new Date(iso).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}

const names = new Intl.DisplayNames("en", { type: "language", fallback: "none" });

/** A language's English name; its code if it has none. */
export function language(code: string): string {
  try {
    // Whisper writes Javanese in its own way.
    return names.of(code === "jw" ? "jv" : code) ?? code;
  } catch {
    return code;
  }
}

/** A text as a sentence: services write some of theirs without capital and full stop. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const capital = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return capital === "" || /[.!?…]$/.test(capital) ? capital : `${capital}.`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
