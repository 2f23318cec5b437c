/** The way in. */
import { useState } from "react";

import { signIn } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import type { Token } from "../../api/types";
import { Notice } from "../../ui/Notice";
import styles from "./SignIn.module.css";

interface Props {
  onEnter: (username: string, token: Token) => void;
  why: string | undefined;
}

export function SignIn({ onEnter, why }: Props) {
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);

  const submit = async (fields: FormData) => {
    const username = String(fields.get("username"));
    setBusy(true);
    setProblem(undefined);
    try {
      onEnter(username, await signIn(username, String(fields.get("password"))));
    } catch (error) {
      setProblem(asProblem(error));
      setBusy(false);
    }
  };

  return (
    <main className={styles.page}>
      <form
        className={`panel ${styles.form}`}
        onSubmit={(event) => {
          event.preventDefault();
          void submit(new FormData(event.currentTarget));
        }}
      >
        <h1>Verbatim</h1>
        <p className="muted">Recordings in, text out. Nothing leaves this server.</p>
        {why !== undefined && problem === undefined && (
          <p className={styles.why} role="status">
            {why}
          </p>
        )}
        <div>
          <label htmlFor="username">User name</label>
          <input id="username" name="username" autoComplete="username" autoCapitalize="none" required autoFocus />
        </div>
        <div>
          <label htmlFor="password">Password</label>
          <input id="password" name="password" type="password" autoComplete="current-password" required />
        </div>
        {problem !== undefined && <Notice problem={problem} />}
        <button className="primary" disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
      </form>
    </main>
  );
}
