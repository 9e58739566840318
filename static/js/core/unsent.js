/* Uploads that a reader leaves behind: asked about before the page goes, named on the page that comes after it. */
import { notify } from "./notices.js";

const KEY = "unsent";
const NAMES_SHOWN = 3;

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
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : "";
  const were = total === 1 ? "The file was not sent" : `${names.length} of ${total} files were not sent`;
  notify("unsent", `${were}: ${names.slice(0, NAMES_SHOWN).join(", ")}${more}. Choose ${names.length === 1 ? "it" : "them"} again on the Portal.`, "warn");
}
