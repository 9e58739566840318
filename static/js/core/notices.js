/* Sentences above the content, one for each cause. */
import { iconOf } from "./icons.js";

/** Shows, replaces or (message null) removes the notice of one cause. */
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
  old ? old.replaceWith(notice) : document.getElementById("notices").append(notice);
}
