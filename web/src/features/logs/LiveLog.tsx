/** A job's log while it happens, and afterwards. */
import { useEffect, useRef, useState } from "react";

import { LogConnection, type LogState, logUrl } from "../../api/logs";
import type { Job } from "../../api/types";
import { useSession } from "../../app/session";
import { isActive } from "../jobs/words";
import { type Line, lineOf, merged, timeOfDay } from "./lines";
import styles from "./LiveLog.module.css";

const SAYS: Record<LogState, string> = {
  connecting: "connecting…",
  live: "live",
  waiting: "connection lost, trying again…",
  ended: "ended with your session",
};

export function LiveLog({ job }: { job: Job }) {
  const [open, setOpen] = useState(() => isActive(job));
  return (
    <details className={`panel ${styles.log}`} open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Log</summary>
      {open && <Lines jobId={job.id} />}
    </details>
  );
}

function Lines({ jobId }: { jobId: string }) {
  const { client } = useSession();
  const [lines, setLines] = useState<Line[]>([]);
  const [state, setState] = useState<LogState>("connecting");
  const box = useRef<HTMLOListElement>(null);
  const follows = useRef(true);

  useEffect(() => {
    // Records come in bursts; one render a burst is enough.
    let burst: Line[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const flush = () => {
      timer = undefined;
      const added = burst;
      burst = [];
      setLines((before) => merged(before, added));
    };
    const connection = new LogConnection(logUrl(jobId, location), client.token, {
      onRecord: (record) => {
        burst.push(lineOf(record));
        timer ??= setTimeout(flush, 50);
      },
      onState: setState,
    });
    return () => {
      connection.close();
      clearTimeout(timer);
      setLines([]);
    };
  }, [jobId, client]);

  useEffect(() => {
    if (follows.current) box.current?.scrollTo(0, box.current.scrollHeight);
  }, [lines]);

  return (
    <>
      <p className={styles.state}>
        <span className={state === "live" ? styles.live : styles.dim} /> {SAYS[state]}
      </p>
      <ol
        ref={box}
        className={styles.lines}
        role="log"
        aria-label="Log of this job"
        aria-live="off"
        tabIndex={0}
        onScroll={(event) => {
          const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
          follows.current = scrollHeight - scrollTop - clientHeight < 24;
        }}
      >
        {lines.map((line, index) => (
          <li key={line.id || index} className={styles[line.level]}>
            <time dateTime={line.time}>{timeOfDay(line.time)}</time>
            <span className={styles.service}>{line.service}</span>
            <span>
              {line.text}
              {line.details !== "" && <span className={styles.details}> {line.details}</span>}
            </span>
          </li>
        ))}
        {lines.length === 0 && <li className={styles.nothing}>Nothing yet.</li>}
      </ol>
    </>
  );
}
