/** How far an active job is. */
import type { Job } from "../../api/types";
import { isActive, shareDone } from "./words";

export function Progress({ job }: { job: Job }) {
  if (!isActive(job) || job.state === "queued") return null;
  const share = shareDone(job);
  return <progress aria-label={`Progress of ${job.file_name}`} max={1} {...(share !== undefined ? { value: share } : {})} />;
}
