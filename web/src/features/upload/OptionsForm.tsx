/** How a recording shall be transcribed. */
import type { UploadOptions } from "../../api/types";
import { LANGUAGES, MODELS } from "./options";
import styles from "./OptionsForm.module.css";

interface Props {
  options: UploadOptions;
  onChange: (options: UploadOptions) => void;
}

export function OptionsForm({ options, onChange }: Props) {
  const set = (part: Partial<UploadOptions>) => onChange({ ...options, ...part });
  return (
    <div className={styles.options}>
      <div>
        <label htmlFor="model">Model</label>
        <select id="model" value={options.model} onChange={(event) => set({ model: event.target.value })}>
          {MODELS.map(([name, hint]) => (
            <option key={name} value={name}>
              {name} ({hint})
            </option>
          ))}
        </select>
      </div>
      <div>
        <label htmlFor="language">Language spoken</label>
        <select id="language" value={options.language} onChange={(event) => set({ language: event.target.value })}>
          <option value="auto">Detect it</option>
          {LANGUAGES.map(([code, name]) => (
            <option key={code} value={code}>
              {name}
            </option>
          ))}
        </select>
      </div>
      <div className={styles.task}>
        <label htmlFor="task">Text</label>
        <select
          id="task"
          value={options.task}
          onChange={(event) => set({ task: event.target.value as UploadOptions["task"] })}
        >
          <option value="transcribe">As spoken</option>
          <option value="translate">Translated into English</option>
        </select>
      </div>
      <div className={styles.prompt}>
        <label htmlFor="prompt">Names and spellings to expect (optional)</label>
        <input
          id="prompt"
          value={options.initialPrompt}
          maxLength={1000}
          onChange={(event) => set({ initialPrompt: event.target.value })}
        />
      </div>
      <label className={styles.check}>
        <input
          type="checkbox"
          checked={options.wordTimestamps}
          onChange={(event) => set({ wordTimestamps: event.target.checked })}
        />
        Times for each word (slower)
      </label>
    </div>
  );
}
