/** The transcript as a file, in each of its formats. */
import { useState } from "react";

import { asProblem, type Problem } from "../../api/problem";
import type { Job } from "../../api/types";
import { useSession } from "../../app/session";
import { Notice } from "../../ui/Notice";
import styles from "./Downloads.module.css";
import { save } from "./save";

/** What each format is good for; the order is the order of the buttons. */
const PURPOSES: Record<string, string> = {
  txt: "Plain text",
  srt: "Subtitles for video players",
  vtt: "Subtitles for web pages",
  json: "Everything, for programs",
  tsv: "Table of times and text",
};

export function ordered(formats: string[]): string[] {
  const known = Object.keys(PURPOSES);
  const place = (format: string) => (known.includes(format) ? known.indexOf(format) : known.length);
  return [...formats].sort((one, other) => place(one) - place(other) || one.localeCompare(other));
}

export function Downloads({ job }: { job: Job }) {
  const { client } = useSession();
  const [problem, setProblem] = useState<Problem>();

  const download = async (format: string) => {
    setProblem(undefined);
    try {
      const { name, content } = await client.download(job.id, format);
      save(name, content);
    } catch (error) {
      setProblem(asProblem(error));
    }
  };

  if (job.transcript_attempt === null) return null;
  return (
    <>
      <div className={styles.formats} role="group" aria-label="Download the text">
        <span className="muted small" aria-hidden="true">
          Download
        </span>
        {ordered(job.formats).map((format) => (
          <button key={format} type="button" title={PURPOSES[format]} onClick={() => void download(format)}>
            {format.toUpperCase()}
          </button>
        ))}
      </div>
      {problem !== undefined && <Notice problem={problem} />}
    </>
  );
}
