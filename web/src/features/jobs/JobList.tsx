/** All jobs of the user, newest first, kept up to date. */
import { useEffect, useState } from "react";

import type { Job, State } from "../../api/types";
import { Link } from "../../app/navigation";
import { useSession } from "../../app/session";
import { ago, duration, moment } from "../../ui/formats";
import { Notice } from "../../ui/Notice";
import { usePolled } from "../../ui/usePolled";
import { useUploads } from "../upload/uploads";
import styles from "./JobList.module.css";
import { Progress } from "./Progress";
import { StateBadge } from "./StateBadge";
import { isActive, summary, wordsFor } from "./words";

const PAGE = 25;
const BUSY_PAUSE = 1_500;
const IDLE_PAUSE = 10_000;

const FILTERS: [value: State | "", label: string][] = [
  ["", "All"],
  ["queued", "Waiting"],
  ["processing", "Working"],
  ["completed", "Done"],
  ["failed", "Failed"],
  ["cancelled", "Cancelled"],
];

export function JobList() {
  const { client } = useSession();
  const { arrived } = useUploads();
  const [state, setState] = useState<State | "">("");
  // The way back: the cursor of each page up to the one shown.
  const [cursors, setCursors] = useState<(string | null)[]>([null]);
  const cursor = cursors.at(-1) ?? null;

  const { data, problem, refresh } = usePolled(
    `${state} ${cursor ?? ""}`,
    (signal) => client.jobs({ limit: PAGE, cursor, state }, signal),
    (page) => (page?.items.some(isActive) ? BUSY_PAUSE : IDLE_PAUSE),
  );
  useEffect(() => {
    if (arrived > 0) refresh();
  }, [arrived, refresh]);

  return (
    <section className={styles.section} aria-labelledby="jobs">
      <div className={styles.head}>
        <h2 id="jobs">Recordings</h2>
        <label className="unseen" htmlFor="filter">
          Show
        </label>
        <select
          id="filter"
          value={state}
          onChange={(event) => {
            setState(event.target.value as State | "");
            setCursors([null]);
          }}
        >
          {FILTERS.map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </div>
      {problem !== undefined && <Notice problem={problem} />}
      {data === undefined && problem === undefined && <p className="muted">Loading…</p>}
      {data?.items.length === 0 && (
        <p className={`muted ${styles.empty}`}>
          {state === "" ? "Nothing here yet. Drop a recording above." : "No recording is in this state."}
        </p>
      )}
      {data !== undefined && data.items.length > 0 && (
        <ul className={styles.list}>
          {data.items.map((job) => (
            <JobRow key={job.id} job={job} />
          ))}
        </ul>
      )}
      {(cursors.length > 1 || data?.next_cursor) && (
        <nav className="row" aria-label="Pages">
          <button type="button" disabled={cursors.length === 1} onClick={() => setCursors((way) => way.slice(0, -1))}>
            Newer
          </button>
          <button
            type="button"
            disabled={!data?.next_cursor}
            onClick={() => setCursors((way) => [...way, data?.next_cursor ?? null])}
          >
            Older
          </button>
        </nav>
      )}
    </section>
  );
}

function JobRow({ job }: { job: Job }) {
  const words = wordsFor(job);
  const took = job.timings.transcription_seconds;
  return (
    <li className={styles.job}>
      <Link to={{ name: "job", id: job.id }} className={styles.name}>
        {job.file_name}
      </Link>
      <StateBadge job={job} />
      <p className={styles.facts}>
        {summary(job)}
        {took !== null && ` · transcribed in ${duration(took)}`}
      </p>
      <time className={styles.time} dateTime={job.created_at} title={moment(job.created_at)}>
        {ago(job.created_at)}
      </time>
      {(isActive(job) || job.state === "failed") && <p className={styles.sentence}>{words.sentence}</p>}
      <div className={styles.progress}>
        <Progress job={job} />
      </div>
    </li>
  );
}
