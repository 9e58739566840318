/* Sentences above the content, one for each cause. */
import { element } from "./elements.js";
import { iconOf } from "./icons.js";

/**
 * Shows, replaces or (message null) removes the notice of one cause.
 * @param {string} id of the cause
 * @param {string | null} message
 * @param {"info" | "warn" | "error"} [tone]
 */
export function notify(id, message, tone = "info") {
  const old = document.getElementById(id);
  if (message === null) {
    old?.remove();
    return;
  }
  if (old?.textContent === message) return;
  const notice = document.createElement("div");
  notice.id = id;
  notice.className = "notice";
  notice.dataset.tone = tone;
  notice.setAttribute("role", tone === "error" ? "alert" : "status");
  const words = document.createElement("div");
  words.textContent = message;
  notice.append(iconOf("info"), words);
  if (old) old.replaceWith(notice);
  else element("#notices", HTMLElement).append(notice);
}
