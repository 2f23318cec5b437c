/** Where recordings are dropped or chosen. */
import { type DragEvent, useRef, useState } from "react";

import { Upload } from "../../ui/icons";
import styles from "./DropZone.module.css";

export function DropZone({ onFiles }: { onFiles: (files: File[]) => void }) {
  const input = useRef<HTMLInputElement>(null);
  // Moving over a child leaves and enters again: only the balance shows whether a file is over the zone.
  const [depth, setDepth] = useState(0);

  const hover = (event: DragEvent, step: number) => {
    event.preventDefault();
    setDepth((before) => Math.max(0, before + step));
  };

  return (
    <div
      className={`${styles.zone} ${depth > 0 ? styles.over : ""}`}
      onDragEnter={(event) => hover(event, 1)}
      onDragLeave={(event) => hover(event, -1)}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        setDepth(0);
        const files = [...event.dataTransfer.files];
        if (files.length > 0) onFiles(files);
      }}
    >
      <Upload />
      <p className={styles.choice}>
        <strong>Drop recordings here</strong>
        <span className={styles.or}> or </span>
        <button type="button" onClick={() => input.current?.click()}>
          Choose files
        </button>
      </p>
      <p className="muted small">Audio, or video with sound, in any common format.</p>
      <input
        ref={input}
        className="unseen"
        type="file"
        multiple
        accept="audio/*,video/*"
        aria-label="Recordings"
        tabIndex={-1}
        onChange={(event) => {
          const files = [...(event.target.files ?? [])];
          event.target.value = "";
          if (files.length > 0) onFiles(files);
        }}
      />
    </div>
  );
}
