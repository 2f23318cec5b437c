/** A job's state as a word with a colour. */
import type { Job } from "../../api/types";
import styles from "./StateBadge.module.css";
import { wordsFor } from "./words";

export function StateBadge({ job }: { job: Job }) {
  const { label, tone } = wordsFor(job);
  return <span className={`${styles.badge} ${styles[tone]}`}>{label}</span>;
}
