/** Uploads with progress, which only XMLHttpRequest reports. */
import { Problem, problemOf } from "./problem";
import type { Job, UploadOptions } from "./types";

/** Send a recording; `onProgress` receives the number of bytes sent. Rejects with a Problem, or an AbortError. */
export function upload(
  file: File,
  options: UploadOptions,
  token: string,
  onProgress: (sentBytes: number) => void,
  signal: AbortSignal,
): Promise<Job> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/jobs");
    request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.upload.onprogress = (event) => onProgress(Math.min(event.loaded, file.size));
    request.onload = () => {
      if (request.status !== 201) reject(problemOf(request.status, request.responseText));
      else resolve(JSON.parse(request.responseText) as Job);
    };
    // A server that refuses a body before it has ended closes the connection, and browsers do not say why.
    request.onerror = () =>
      reject(
        new Problem("The connection broke during the upload. The server may be gone, or it refused the recording.", {
          status: 0,
          code: "upload_broken",
          title: "Upload broke off",
        }),
      );
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form(file, options));
  });
}

/** The form of an upload: options first, so that the server can refuse them before the recording arrives. */
export function form(file: File, options: UploadOptions): FormData {
  const body = new FormData();
  body.set("model", options.model);
  body.set("language", options.language);
  body.set("task", options.task);
  body.set("word_timestamps", String(options.wordTimestamps));
  if (options.initialPrompt.trim() !== "") body.set("initial_prompt", options.initialPrompt.trim());
  body.set("file", file, file.name);
  return body;
}
