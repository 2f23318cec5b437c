/** What can be chosen for an upload. */
import type { UploadOptions } from "../../api/types";
import { language } from "../../ui/formats";

export const DEFAULTS: UploadOptions = {
  model: "base",
  language: "auto",
  task: "transcribe",
  wordTimestamps: false,
  initialPrompt: "",
};

/** Whisper's models, the fastest first; a server that has not got one says so. */
export const MODELS: [name: string, hint: string][] = [
  ["tiny", "fastest"],
  ["base", "fast"],
  ["small", "balanced"],
  ["medium", "accurate, slow"],
  ["large-v3", "most accurate, slowest"],
];

/** The languages that Whisper knows. */
const CODES =
  "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is it " +
  "ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn " +
  "so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh";

export const LANGUAGES: [code: string, name: string][] = CODES.split(" ")
  .map((code): [string, string] => [code, language(code)])
  .sort((one, other) => one[1].localeCompare(other[1], "en"));
