/** What a recording's file holds: its audio tracks, and what of it is missing in the text. */
import { useState } from "react";

import { asProblem, type Problem } from "../../api/problem";
import type { Job } from "../../api/types";
import { useSession } from "../../app/session";
import { duration, language } from "../../ui/formats";
import { Notice } from "../../ui/Notice";
import styles from "./Source.module.css";
import { isActive } from "./words";

type Source = NonNullable<Job["source"]>;

export function Warnings({ warnings }: { warnings: Job["warnings"] }) {
  if (warnings === undefined || warnings.length === 0) return null;
  return (
    <ul className={styles.warnings} aria-label="Warnings about the recording">
      {warnings.map((warning) => (
        <li key={warning.code}>{warning.text}</li>
      ))}
    </ul>
  );
}

/** The tracks of a file that has several; when the job is over, another one can be transcribed instead. */
export function Tracks({ job, onRestarted }: { job: Job; onRestarted: () => void }) {
  const { client } = useSession();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const { source } = job;
  const tracks = source?.tracks ?? [];
  if (!source || tracks.length < 2) return null;

  const restart = async (track: number | "mix") => {
    setBusy(true);
    setProblem(undefined);
    try {
      await client.restartWithTrack(job.id, track);
      onRestarted();
    } catch (error) {
      setProblem(asProblem(error));
    }
    setBusy(false);
  };
  const others = isActive(job) ? [] : tracks.filter((track) => track.readable && source.track !== track.index);

  return (
    <section className="panel" aria-labelledby="tracks">
      <h2 id="tracks">Audio tracks</h2>
      <ol className={styles.tracks}>
        {tracks.map((track) => (
          <li key={track.index} value={track.index}>
            {describe(track)}
            {track.chosen && <strong> · transcribed</strong>}
          </li>
        ))}
      </ol>
      {problem !== undefined && <Notice problem={problem} />}
      {others.length > 0 && (
        <p className={styles.choices}>
          {others.map((track) => (
            <button key={track.index} type="button" disabled={busy} onClick={() => void restart(track.index)}>
              Transcribe track {track.index}
            </button>
          ))}
          {source.track !== "mix" && (
            <button type="button" disabled={busy} onClick={() => void restart("mix")}>
              Transcribe all tracks together
            </button>
          )}
        </p>
      )}
    </section>
  );
}

function describe(track: NonNullable<Source["tracks"]>[number]): string {
  const spoken = track.speech_seconds;
  return [
    track.title,
    track.language && language(track.language),
    track.codec,
    track.readable === false && "cannot be read",
    typeof spoken === "number" && (spoken > 0 ? `${duration(spoken)} of speech` : "no speech"),
  ]
    .filter(Boolean)
    .join(" · ");
}
