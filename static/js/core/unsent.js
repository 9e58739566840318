/* Uploads that a reader leaves behind: asked about before the page goes, named on the page that comes after it. */
import { firstNames } from "./names.js";
import { notify } from "./notices.js";

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
    if (names.length) sessionStorage.setItem(KEY, JSON.stringify({ names, total }));
  });
}

/** Says once what the page before this one had not sent. */
export function sayUnsent() {
  const kept = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  if (!kept) return;
  /** @type {Unsent} */
  const { names, total } = JSON.parse(kept);
  const were = total === 1 ? "The file was not sent" : `${names.length} of ${total} files were not sent`;
  notify("unsent", `${were}: ${firstNames(names)}. Choose ${names.length === 1 ? "it" : "them"} again on the Portal.`, "warn");
}
