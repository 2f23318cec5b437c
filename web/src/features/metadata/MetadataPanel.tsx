/** What a text is about, and how much was said. */
import type { Job } from "../../api/types";
import { useSession } from "../../app/session";
import { percent, plural } from "../../ui/formats";
import { Notice } from "../../ui/Notice";
import { usePolled } from "../../ui/usePolled";
import styles from "./MetadataPanel.module.css";

export function MetadataPanel({ job }: { job: Job }) {
  const { client } = useSession();
  const key = job.state === "completed" ? `${job.id} ${job.transcript_attempt}` : null;
  const { data, problem } = usePolled(
    key,
    (signal) => client.metadata(job.id, signal),
    () => null,
  );
  // A text without metadata is no error: the job's own sentence says why.
  if (key === null || problem?.code === "metadata_not_found" || (data === undefined && problem === undefined)) return null;
  return (
    <section className="panel" aria-labelledby="metadata">
      <h2 id="metadata">At a glance</h2>
      {problem !== undefined && <Notice problem={problem} />}
      {data !== undefined && (
        <>
          <p className={styles.counts}>
            {plural(data.words, "word")}, {Math.round(data.words_per_minute)} per minute of speech. Somebody speaks in{" "}
            {percent(data.speech_ratio)} of the recording.
          </p>
          {data.keywords.length > 0 && (
            <ul className={styles.keywords} aria-label="Keywords">
              {data.keywords.map(({ keyword, score }) => (
                <li key={keyword} className={score >= 0.5 ? styles.strong : undefined}>
                  {keyword}
                </li>
              ))}
            </ul>
          )}
        </>
      )}
    </section>
  );
}
