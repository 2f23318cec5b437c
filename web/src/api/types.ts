/** What the gateway answers. Everything but the transcript's own file is generated from its OpenAPI document. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Job = Schemas["JobView"];
export type JobPage = Schemas["JobPage"];
export type Metadata = Schemas["Metadata"];
export type Me = Schemas["Me"];
export type Token = Schemas["Token"];
export type State = Job["state"];

/** The fields of an upload besides the file. */
export interface UploadOptions {
  model: string;
  /** An ISO 639 code, or "auto" to have the language detected. */
  language: string;
  task: "transcribe" | "translate";
  wordTimestamps: boolean;
  initialPrompt: string;
}

/** A caption-sized piece of text; times in seconds of the recording. */
export interface Segment {
  id: number;
  start: number;
  end: number;
  text: string;
  /** How sure the model was, 0 to 1. */
  confidence?: number | null;
}

/** What transcript.json holds, as far as the page shows it. */
export interface Transcript {
  language: string | null;
  task: string;
  duration_seconds: number;
  text: string;
  segments: Segment[];
}
