/** An error in words, with its code and the service it comes from. */
import type { ReactNode } from "react";

import type { Problem } from "../api/problem";
import { sentence } from "./formats";
import styles from "./Notice.module.css";

export function Notice({ problem, children }: { problem: Problem; children?: ReactNode }) {
  return (
    <div className={styles.notice} role="alert">
      <p>
        <strong>{problem.title}.</strong> {sentence(problem.message)}
      </p>
      <p className={styles.facts}>
        <code>{problem.code}</code>
        {problem.service !== undefined && <> · from {problem.service}</>}
        {problem.requestId !== undefined && (
          <>
            {" "}
            · request <code>{problem.requestId}</code>
          </>
        )}
      </p>
      {children}
    </div>
  );
}
