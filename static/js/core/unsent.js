/* Uploads that a reader leaves behind: asked about before the page goes, named on the page that comes after it. */
import { firstNames } from "./names.js";
import { notify } from "./notices.js";
import { keep, readKept } from "./storage.js";

const KEY = "unsent";

/** @typedef {{ names: string[], total: number }} Unsent names: of what was not sent, of `total` in all */

/**
 * Asks before the page is left while something is unsent, and remembers it where the reader leaves all the same.
 * @param {() => Unsent} pending
 */
export function guardUploads(pending) {
  window.addEventListener("beforeunload", (event) => pending().names.length && event.preventDefault());
  window.addEventListener("pagehide", () => {
    const { names, total } = pending();
    if (names.length) keep("sessionStorage", KEY, JSON.stringify({ names, total }));
  });
}

/** Says once what the page before this one had not sent. */
export function sayUnsent() {
  const kept = readKept("sessionStorage", KEY);
  keep("sessionStorage", KEY, null);
  if (!kept) return;
  /** @type {Unsent} */
  const { names, total } = JSON.parse(kept);
  // What was under way when the page went may have arrived all the same: only the history knows.
  const were = total === 1 ? "The file may not have been sent" : `${names.length} of ${total} files may not have been sent`;
  notify("unsent", `${were}: ${firstNames(names)}. Look in the History, and choose on the Portal what is missing there.`, "warn");
}
