/* The two dialogs of every page: the question before what is final, and the list of keys. */
import { element, findElement, targetOf } from "./elements.js";

/**
 * Asks once; resolves to true where the reader agreed.
 * @param {{ title: string, message: string, label: string }} words label: of the button that agrees
 * @returns {Promise<boolean>}
 */
export function confirmOnce({ title, message, label }) {
  const dialog = element("#confirm", HTMLDialogElement);
  element("#confirm-title", HTMLElement).textContent = title;
  element("#confirm-message", HTMLElement).textContent = message;
  element("#confirm-yes", HTMLElement).textContent = label;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Forms with data-confirm-title ask before they are sent, and tell the server so by the field `confirmed`. */
export function confirmForms() {
  document.addEventListener("submit", async (event) => {
    const { target: form, submitter } = event;
    if (!(form instanceof HTMLFormElement)) return;
    const { confirmTitle: title, confirmMessage: message = "", confirmLabel: label = "" } = submitter?.dataset.confirmTitle ? submitter.dataset : form.dataset;
    if (!title || form.elements.namedItem("confirmed")) return;
    event.preventDefault();
    if (!(await confirmOnce({ title, message, label }))) return;
    const answer = document.createElement("input");
    Object.assign(answer, { type: "hidden", name: "confirmed", value: "yes" });
    form.append(answer);
    form.requestSubmit(submitter);
    answer.remove(); // a page that the browser brings back asks again
  });
}

/**
 * True where a key press belongs to a field or an open dialog, and not to the page.
 * @param {KeyboardEvent} event
 */
export function isTyping(event) {
  return event.ctrlKey || event.metaKey || event.altKey || isAtWork(targetOf(event));
}

/**
 * True where somebody writes in a field, or has a dialog open: what would be lost with the page.
 * @param {EventTarget | null} target what has the focus
 */
export function isAtWork(target = document.activeElement) {
  if (document.querySelector("dialog[open]")) return true;
  if (target instanceof HTMLInputElement) return !["checkbox", "range", "button", "submit", "file"].includes(target.type);
  return target instanceof HTMLElement && (target.isContentEditable || ["TEXTAREA", "SELECT"].includes(target.tagName));
}

/** Opens the list of keys by its button and by `?`. */
export function keysDialog() {
  const dialog = element("#keys", HTMLDialogElement);
  findElement("#keys-open", HTMLElement)?.addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "?" || isTyping(event)) return;
    event.preventDefault();
    dialog.showModal();
  });
}
