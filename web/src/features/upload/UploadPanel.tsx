/** New recordings: choose them, say how, watch them go. */
import { useState } from "react";

import type { UploadOptions } from "../../api/types";
import { bytes, percent, plural } from "../../ui/formats";
import { Close } from "../../ui/icons";
import { Notice } from "../../ui/Notice";
import { DropZone } from "./DropZone";
import { DEFAULTS } from "./options";
import { OptionsForm } from "./OptionsForm";
import type { Entry } from "./queue";
import styles from "./UploadPanel.module.css";
import { useUploads } from "./uploads";

export function UploadPanel() {
  const { queue, add } = useUploads();
  const [options, setOptions] = useState(DEFAULTS);
  const [chosen, setChosen] = useState<File[]>([]);

  const start = () => {
    add(chosen, options);
    setChosen([]);
  };

  return (
    <section className="panel" aria-labelledby="new-recordings">
      <h2 id="new-recordings">New recordings</h2>
      <div className={styles.parts}>
        <DropZone onFiles={(files) => setChosen((before) => [...before, ...files])} />
        {chosen.length > 0 && (
          <ul className={styles.files} aria-label="Chosen recordings">
            {chosen.map((file, index) => (
              <li key={`${index} ${file.name}`} className={styles.file}>
                <span className={styles.name}>{file.name}</span>
                <span className="muted small">{bytes(file.size)}</span>
                <button
                  type="button"
                  className="quiet icon"
                  aria-label={`Leave out ${file.name}`}
                  onClick={() => setChosen((before) => before.filter((_, other) => other !== index))}
                >
                  <Close />
                </button>
              </li>
            ))}
          </ul>
        )}
        <OptionsForm options={options} onChange={setOptions} />
        <button type="button" className="primary" disabled={chosen.length === 0} onClick={start}>
          {chosen.length === 0 ? "Transcribe" : `Transcribe ${plural(chosen.length, "recording")}`}
        </button>
        {queue.length > 0 && (
          <ul className={styles.files} aria-label="Uploads">
            {queue.map((entry) => (
              <UploadRow key={entry.id} entry={entry} options={options} />
            ))}
          </ul>
        )}
      </div>
    </section>
  );
}

/** The options are those chosen now: trying again with other ones is how a refusal is answered. */
function UploadRow({ entry, options }: { entry: Entry; options: UploadOptions }) {
  const { retry, remove } = useUploads();
  const { file, sentBytes, state } = entry;
  const share = file.size === 0 ? 1 : sentBytes / file.size;
  return (
    <li className={styles.upload}>
      <div className={styles.file}>
        <span className={styles.name}>{file.name}</span>
        <span className="muted small">
          {state === "waiting" && `${bytes(file.size)}, waiting`}
          {state === "failed" && "not accepted"}
          {state === "sending" && (share < 1 ? `${bytes(sentBytes)} of ${bytes(file.size)}, ${percent(share)}` : "storing…")}
        </span>
        <button
          type="button"
          className="quiet icon"
          aria-label={state === "sending" ? `Stop the upload of ${file.name}` : `Remove ${file.name}`}
          onClick={() => remove(entry.id)}
        >
          <Close />
        </button>
      </div>
      {state === "sending" && (
        <progress aria-label={`Upload of ${file.name}`} max={1} {...(share < 1 ? { value: share } : {})} />
      )}
      {entry.problem !== undefined && (
        <Notice problem={entry.problem}>
          <p className={styles.retry}>
            <button type="button" onClick={() => retry(entry.id, options)}>
              Try again
            </button>
          </p>
        </Notice>
      )}
    </li>
  );
}
