/** Deleting a job, after asking. */
import { useState } from "react";

import { asProblem, type Problem } from "../../api/problem";
import type { Job } from "../../api/types";
import { useSession } from "../../app/session";
import { Dialog } from "../../ui/Dialog";
import { Trash } from "../../ui/icons";
import { Notice } from "../../ui/Notice";
import { isActive } from "./words";

export function DeleteJob({ job, onDeleted }: { job: Job; onDeleted: () => void }) {
  const { client } = useSession();
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();

  const confirm = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      await client.deleteJob(job.id);
      onDeleted();
    } catch (error) {
      setProblem(asProblem(error));
      setBusy(false);
    }
  };

  return (
    <>
      <button type="button" className="danger" onClick={() => setAsking(true)}>
        <Trash /> Delete
      </button>
      {asking && (
        <Dialog title="Delete this recording?" onClose={() => !busy && setAsking(false)}>
          <p>
            <strong>{job.file_name}</strong>, its text and everything else stored for it will be gone for good.
            {isActive(job) && " The work on it stops."}
          </p>
          {problem !== undefined && <Notice problem={problem} />}
          <p className="row">
            <button type="button" className="danger" disabled={busy} onClick={() => void confirm()}>
              {busy ? "Deleting…" : "Delete"}
            </button>
            <button type="button" autoFocus disabled={busy} onClick={() => setAsking(false)}>
              Keep it
            </button>
          </p>
        </Dialog>
      )}
    </>
  );
}
