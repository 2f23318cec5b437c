/** Addresses of the page, without a library: two views and the history of the browser. */
import { type AnchorHTMLAttributes, useSyncExternalStore } from "react";

const BASE = import.meta.env.BASE_URL;
const CHANGED = "verbatim:navigated";

export type View = { name: "jobs" } | { name: "job"; id: string };

/** The view that an address shows; an unknown address shows the list of jobs. */
export function viewOf(path: string, base: string = BASE): View {
  const id = /^jobs\/([0-9a-f-]{36})\/?$/i.exec(path.startsWith(base) ? path.slice(base.length) : "")?.[1];
  return id === undefined ? { name: "jobs" } : { name: "job", id };
}

export function addressOf(view: View, base: string = BASE): string {
  return view.name === "jobs" ? base : `${base}jobs/${view.id}`;
}

export function go(view: View): void {
  history.pushState(null, "", addressOf(view));
  dispatchEvent(new Event(CHANGED));
  scrollTo(0, 0);
}

function subscribe(changed: () => void): () => void {
  addEventListener("popstate", changed);
  addEventListener(CHANGED, changed);
  return () => {
    removeEventListener("popstate", changed);
    removeEventListener(CHANGED, changed);
  };
}

export function useView(): View {
  return viewOf(useSyncExternalStore(subscribe, () => location.pathname));
}

type LinkProps = AnchorHTMLAttributes<HTMLAnchorElement> & { to: View };

/** A link inside the page; opening it in a new tab works as for any link. */
export function Link({ to, ...rest }: LinkProps) {
  return (
    <a
      {...rest}
      href={addressOf(to)}
      onClick={(event) => {
        if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        go(to);
      }}
    />
  );
}
