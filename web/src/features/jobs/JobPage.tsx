/** One job: its state, its text, its log, and what can be done with it. */
import { useEffect, useRef } from "react";

import type { Job } from "../../api/types";
import { go, Link } from "../../app/navigation";
import { useSession } from "../../app/session";
import { ago, bytes, duration, language, moment } from "../../ui/formats";
import { Back } from "../../ui/icons";
import { Notice } from "../../ui/Notice";
import { usePolled } from "../../ui/usePolled";
import { LiveLog } from "../logs/LiveLog";
import { MetadataPanel } from "../metadata/MetadataPanel";
import { Downloads } from "../transcript/Downloads";
import { TranscriptPanel } from "../transcript/TranscriptPanel";
import { DeleteJob } from "./DeleteJob";
import styles from "./JobPage.module.css";
import { Progress } from "./Progress";
import { StateBadge } from "./StateBadge";
import { Tracks, Warnings } from "./Source";
import { isActive, timings, wordsFor } from "./words";

const PAUSE = 1_000;
const TROUBLE_PAUSE = 5_000;

export function JobPage({ id }: { id: string }) {
  const { client } = useSession();
  const { data: job, problem, refresh } = usePolled(
    id,
    (signal) => client.job(id, signal),
    (found) => (found === undefined ? TROUBLE_PAUSE : isActive(found) ? PAUSE : null),
  );

  return (
    <>
      <p className={styles.back}>
        <Link to={{ name: "jobs" }}>
          <Back /> All recordings
        </Link>
      </p>
      {problem !== undefined && <Notice problem={problem} />}
      {job === undefined && problem === undefined && <p className="muted">Loading…</p>}
      {job !== undefined && <Details job={job} onRestarted={refresh} />}
    </>
  );
}

function Details({ job, onRestarted }: { job: Job; onRestarted: () => void }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const words = wordsFor(job);
  useEffect(() => {
    document.title = `${job.file_name} · Verbatim`;
    heading.current?.focus({ preventScroll: true });
    return () => {
      document.title = "Verbatim";
    };
  }, [job.file_name]);

  return (
    <>
      <header className={styles.head}>
        <div className={styles.title}>
          <h1 ref={heading} tabIndex={-1}>
            {job.file_name}
          </h1>
          <DeleteJob job={job} onDeleted={() => go({ name: "jobs" })} />
        </div>
        <p className={styles.state} role="status">
          <StateBadge job={job} /> <span>{words.sentence}</span>
        </p>
        <Warnings warnings={job.warnings} />
        <Progress job={job} />
        <Downloads job={job} />
      </header>
      <div className={styles.columns}>
        <div className={styles.main}>
          <TranscriptPanel job={job} />
          <LiveLog job={job} />
        </div>
        <aside className={styles.side}>
          <MetadataPanel job={job} />
          <Facts job={job} />
          <Tracks job={job} onRestarted={onRestarted} />
        </aside>
      </div>
    </>
  );
}

function Facts({ job }: { job: Job }) {
  const spoken = job.language ?? job.options.language;
  const facts: [string, string][] = [
    ["Model", job.options.model],
    ["Language", spoken ? language(spoken) + (job.options.language ? "" : " (detected)") : "to be detected"],
    ["Text", job.options.task === "translate" ? "translated into English" : "as spoken"],
    ...(job.duration_seconds === null ? [] : ([["Length", duration(job.duration_seconds)]] as [string, string][])),
    ["Size", bytes(job.size_bytes)],
    ...timings(job),
    ...(job.attempt > 1 ? ([["Attempt", String(job.attempt)]] as [string, string][]) : []),
  ];
  return (
    <section className="panel" aria-labelledby="facts">
      <h2 id="facts">Details</h2>
      <dl className={styles.facts}>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
        <div>
          <dt>Uploaded</dt>
          <dd>
            <time dateTime={job.created_at} title={moment(job.created_at)}>
              {ago(job.created_at)}
            </time>
          </dd>
        </div>
      </dl>
    </section>
  );
}
