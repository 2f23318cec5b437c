/** A job's state and numbers in words. */
import type { Job } from "../../api/types";
import { duration, language, sentence, speed } from "../../ui/formats";

export type Tone = "waiting" | "working" | "good" | "bad" | "ended";

export interface Words {
  label: string;
  tone: Tone;
  sentence: string;
}

export function isActive(job: Job): boolean {
  return job.state === "queued" || job.state === "processing" || job.state === "enriching";
}

export function wordsFor(job: Job): Words {
  switch (job.state) {
    case "queued":
      return { label: "Waiting", tone: "waiting", sentence: "The recording is stored and waits for its turn." };
    case "processing":
      return { label: "Working", tone: "working", sentence: working(job) };
    case "enriching":
      return { label: "Readable", tone: "working", sentence: "The text is ready. Its keywords are being found." };
    case "completed":
      return { label: "Done", tone: "good", sentence: sentence(job.reason ?? "The text is ready.") };
    case "failed":
      return { label: "Failed", tone: "bad", sentence: sentence(job.reason ?? "The job failed without a text or a reason.") };
    case "cancelled":
      return { label: "Cancelled", tone: "ended", sentence: sentence(job.reason ?? "The job was stopped on request.") };
  }
}

function working(job: Job): string {
  switch (job.stage) {
    case "transcribing":
      return job.chunks_total === 0
        ? "Transcribing."
        : `Transcribing: ${job.chunks_done} of ${job.chunks_total} ${job.chunks_total === 1 ? "part" : "parts"} done.`;
    case "assembling":
      return "Putting the parts together.";
    default:
      return "Listening for speech in the recording.";
  }
}

/** The progress of an active job, 0 to 1; undefined while unknown. */
export function shareDone(job: Job): number | undefined {
  if (job.state === "enriching" || job.stage === "assembling") return 1;
  return job.state === "processing" && job.stage === "transcribing" ? job.progress : undefined;
}

/** One line about a job: model, language, length. */
export function summary(job: Job): string {
  const parts = [job.options.model];
  const spoken = job.language ?? job.options.language;
  if (spoken) parts.push(language(spoken));
  if (job.options.task === "translate") parts.push("into English");
  if (job.duration_seconds !== null) parts.push(duration(job.duration_seconds));
  return parts.join(" · ");
}

/** What is known about where the time went, as pairs of name and value. */
export function timings(job: Job): [name: string, value: string][] {
  const { queue_seconds, transcription_seconds, enrichment_seconds, real_time_factor } = job.timings;
  const known: [string, string][] = [];
  if (queue_seconds !== null) known.push(["Waited", duration(queue_seconds)]);
  if (transcription_seconds !== null) known.push(["Transcribed in", duration(transcription_seconds)]);
  if (real_time_factor !== null) known.push(["Speed", speed(real_time_factor)]);
  if (enrichment_seconds !== null) known.push(["Keywords in", duration(enrichment_seconds)]);
  return known;
}
