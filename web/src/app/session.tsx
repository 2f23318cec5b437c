/** Who is signed in. The token lives as long as this tab, and never in localStorage. */
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";

import { Client, signOut as endSession } from "../api/client";
import type { Token } from "../api/types";

const KEY = "verbatim.session";
/** Browsers run a longer timer at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

export interface Stored {
  token: string;
  username: string;
  /** Milliseconds since the epoch. */
  expiresAt: number;
}

interface Session {
  client: Client;
  username: string;
  signOut: () => void;
}

/** The stored session, unless it is broken or has expired. */
export function read(text: string | null, now: number): Stored | undefined {
  if (text === null) return undefined;
  try {
    const stored = JSON.parse(text) as Partial<Stored>;
    const { token, username, expiresAt } = stored;
    if (typeof token !== "string" || typeof username !== "string" || typeof expiresAt !== "number") return undefined;
    return expiresAt > now ? { token, username, expiresAt } : undefined;
  } catch {
    return undefined;
  }
}

const SessionContext = createContext<Session | undefined>(undefined);

/** The session that everything behind the sign-in runs in. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === undefined) throw new Error("useSession outside of a session");
  return session;
}

interface ProviderProps {
  /** Shown without a session, with the reason if the last one was ended by the server. */
  signedOut: (enter: (username: string, token: Token) => void, why: string | undefined) => ReactNode;
  children: ReactNode;
}

export function SessionProvider({ signedOut, children }: ProviderProps) {
  const [stored, setStored] = useState(() => read(sessionStorage.getItem(KEY), Date.now()));
  const [why, setWhy] = useState<string>();

  const leave = useCallback((reason?: string) => {
    sessionStorage.removeItem(KEY);
    setStored(undefined);
    setWhy(reason);
  }, []);

  const enter = useCallback((username: string, token: Token) => {
    const entered = { token: token.access_token, username, expiresAt: Date.now() + token.expires_in * 1000 };
    sessionStorage.setItem(KEY, JSON.stringify(entered));
    setWhy(undefined);
    setStored(entered);
  }, []);

  useEffect(() => {
    if (stored === undefined) return undefined;
    const left = Math.min(stored.expiresAt - Date.now(), LONGEST_TIMER);
    const timer = setTimeout(() => leave("Your session has expired. Sign in again to go on."), left);
    return () => clearTimeout(timer);
  }, [stored, leave]);

  const session = useMemo<Session | undefined>(
    () =>
      stored && {
        client: new Client(stored.token, (problem) => leave(`${problem.message} Sign in again to go on.`)),
        username: stored.username,
        signOut: () => {
          leave();
          endSession(stored.token).catch(() =>
            setWhy("You are signed out here, but the server did not confirm it: the session may last until it expires."),
          );
        },
      },
    [stored, leave],
  );
  if (session === undefined) return signedOut(enter, why);
  return <SessionContext value={session}>{children}</SessionContext>;
}
