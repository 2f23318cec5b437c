/** The text of a job, with the time of each segment. */
import { useState } from "react";

import type { Job, Segment } from "../../api/types";
import { useSession } from "../../app/session";
import { position } from "../../ui/formats";
import { Copy } from "../../ui/icons";
import { Notice } from "../../ui/Notice";
import { usePolled } from "../../ui/usePolled";
import styles from "./TranscriptPanel.module.css";

/** Below this confidence a word is marked as uncertain. */
const DOUBTFUL = 0.5;

export function TranscriptPanel({ job }: { job: Job }) {
  const { client } = useSession();
  const key = job.transcript_attempt === null ? null : `${job.id} ${job.transcript_attempt}`;
  const { data, problem, refresh } = usePolled(
    key,
    (signal) => client.transcript(job.id, signal),
    () => null,
  );
  if (key === null) return null;
  return (
    <section className="panel" aria-labelledby="transcript">
      <div className={styles.head}>
        <h2 id="transcript">Text</h2>
        {data !== undefined && data.segments.length > 0 && <CopyText text={plainText(data.segments)} />}
      </div>
      {problem !== undefined && (
        <Notice problem={problem}>
          <p>
            <button type="button" onClick={refresh}>
              Try again
            </button>
          </p>
        </Notice>
      )}
      {data === undefined && problem === undefined && <p className="muted">Loading…</p>}
      {data?.segments.length === 0 && <p className="muted">No speech was found in this recording.</p>}
      {data !== undefined && data.segments.length > 0 && (
        <div lang={data.task === "translate" ? "en" : (data.language ?? undefined)} className={styles.text} dir="auto">
          {data.segments.map((segment) => (
            <p key={segment.id} className={styles.segment}>
              <time className={styles.time} dir="ltr">
                {position(segment.start)}
              </time>
              <span {...doubts(segment)}>{segment.text.trim()}</span>
            </p>
          ))}
        </div>
      )}
    </section>
  );
}

export function plainText(segments: Segment[]): string {
  return segments.map((segment) => segment.text.trim()).join("\n");
}

function doubts(segment: Segment): { className?: string; title?: string } {
  const { confidence } = segment;
  if (confidence === undefined || confidence === null || confidence >= DOUBTFUL) return {};
  const { doubtful } = styles;
  return { ...(doubtful ? { className: doubtful } : {}), title: `The model is ${Math.round(confidence * 100)}% sure of this.` };
}

function CopyText({ text }: { text: string }) {
  const [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      setSaid("The browser does not allow copying here");
    }
    setTimeout(() => setSaid(""), 3_000);
  };
  return (
    <span className="row">
      <span role="status" className="muted small">
        {said}
      </span>
      <button type="button" className="quiet" onClick={() => void copy()}>
        <Copy /> Copy
      </button>
    </span>
  );
}
