/** The frame of the page, and which view is in it. */
import { SignIn } from "../features/signin/SignIn";
import { JobList } from "../features/jobs/JobList";
import { JobPage } from "../features/jobs/JobPage";
import { UploadPanel } from "../features/upload/UploadPanel";
import { UploadsProvider, useUploads } from "../features/upload/uploads";
import { plural } from "../ui/formats";
import styles from "./App.module.css";
import { Link, useView } from "./navigation";
import { SessionProvider, useSession } from "./session";
import { ThemeButton } from "./ThemeButton";

export function App() {
  return (
    <SessionProvider signedOut={(enter, why) => <SignIn onEnter={enter} why={why} />}>
      <UploadsProvider>
        <Frame />
      </UploadsProvider>
    </SessionProvider>
  );
}

function Frame() {
  const view = useView();
  const { username, signOut } = useSession();
  return (
    <>
      <a className={styles.skip} href="#main">
        Skip to the content
      </a>
      <header className={styles.bar}>
        <Link to={{ name: "jobs" }} className={styles.brand}>
          Verbatim
        </Link>
        <UploadsInHand />
        <span className={styles.gap} />
        <span className={styles.user} title={`Signed in as ${username}`}>
          {username}
        </span>
        <ThemeButton />
        <button type="button" className="quiet" onClick={signOut}>
          Sign out
        </button>
      </header>
      <main id="main" className={styles.main} tabIndex={-1}>
        {view.name === "job" ? (
          <JobPage key={view.id} id={view.id} />
        ) : (
          <div className={styles.home}>
            <h1 className="unseen">Recordings</h1>
            <UploadPanel />
            <JobList />
          </div>
        )}
      </main>
    </>
  );
}

/** Reminds of uploads while another view hides them. */
function UploadsInHand() {
  const { queue } = useUploads();
  const view = useView();
  const inHand = queue.filter((entry) => entry.state !== "failed").length;
  if (inHand === 0 || view.name === "jobs") return null;
  return (
    <Link to={{ name: "jobs" }} className="small">
      {plural(inHand, "upload")} under way
    </Link>
  );
}
