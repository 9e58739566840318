/* The two dialogs of every page: the question before what is final, and the list of keys. */

const byId = (id) => document.getElementById(id);

/** Asks once; resolves to true where the reader agreed. */
export function confirmOnce({ title, message, label }) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-message").textContent = message;
  byId("confirm-yes").textContent = label;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Forms with data-confirm-title ask before they are sent, and say that they asked. */
export function confirmForms() {
  document.addEventListener("submit", async (event) => {
    const { form, submitter } = { form: event.target, submitter: event.submitter };
    const asks = submitter?.dataset.confirmTitle ? submitter : form;
    if (!asks.dataset.confirmTitle || form.elements.confirmed) return;
    event.preventDefault();
    const { confirmTitle: title, confirmMessage: message, confirmLabel: label } = asks.dataset;
    if (!(await confirmOnce({ title, message, label }))) return;
    const answer = document.createElement("input");
    Object.assign(answer, { type: "hidden", name: "confirmed", value: "yes" });
    form.append(answer);
    form.requestSubmit(submitter);
  });
}

/** True where a key press belongs to a field or an open dialog, and not to the page. */
export function isTyping(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return true;
  const target = event.target;
  if (target.isContentEditable || ["TEXTAREA", "SELECT"].includes(target.tagName)) return true;
  return target.tagName === "INPUT" && !["checkbox", "range", "button", "submit", "file"].includes(target.type);
}

export function keysDialog() {
  const dialog = byId("keys");
  byId("keys-open")?.addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "?" || isTyping(event)) return;
    event.preventDefault();
    dialog.showModal();
  });
}
