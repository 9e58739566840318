/* The portal: files dropped anywhere become cards, and the cards become results. */
import { ApiError, isAbort, messageOf } from "../core/api.js";
import { isTyping } from "../core/dialogs.js";
import { element, elements, targetOf } from "../core/elements.js";
import { fileSize } from "../core/format.js";
import { isOver } from "../core/jobs.js";
import { showName } from "../core/names.js";
import { refreshTimes } from "../core/times.js";
import { actOnRun, adoptCard, fillCard, followCard, showProgress } from "./cards.js";
import { uploadFile } from "./uploads.js";

const AT_ONCE = 1; // one after the other: scans are stored, and stand in line, in the order in which they were chosen

const form = element("#drop", HTMLFormElement);
const input = element("#files", HTMLInputElement);
const list = element("#cards", HTMLElement);
const veil = element("#drop-veil", HTMLElement);
const maxMegabytes = Number(form.dataset.maxMb);
/** @type {Map<HTMLElement, { file: File, abort: () => void }>} by card */
const uploads = new Map();
/** @type {{ card: HTMLElement, file: File }[]} */
const waiting = [];
let active = 0;

const cardsOf = (/** @type {ParentNode} */ parent) => elements(".card", HTMLElement, parent);

/** @param {boolean} isEmpty of the list of cards */
function showEmpty(isEmpty) {
  element("#recent-empty", HTMLElement).hidden = !isEmpty;
  element("#all-scans", HTMLElement).hidden = isEmpty;
}

/** @param {string} name of the file */
function newCard(name) {
  const empty = element("#card-template", HTMLTemplateElement).content;
  const card = element(".card", HTMLElement, document.importNode(empty, true));
  showName(element('[data-slot="name"]', HTMLElement, card), name);
  list.prepend(card);
  showEmpty(false);
  return card;
}

/**
 * @param {HTMLElement} card
 * @param {number} fraction
 * @param {File} file
 */
function showSent(card, fraction, file) {
  element("progress", HTMLProgressElement, card).value = Math.round(fraction * 100);
  const sent = fraction < 1 ? `${fileSize(fraction * file.size)} of ${fileSize(file.size)}` : "Reading the file";
  showProgress(card, "uploading", sent);
}

/**
 * @param {HTMLElement} card
 * @param {File} file
 */
async function send(card, file) {
  const stop = new AbortController();
  uploads.set(card, { file, abort: () => stop.abort() });
  try {
    const scan = await uploadFile(file, { onProgress: (fraction) => showSent(card, fraction, file), signal: stop.signal });
    fillCard(card, scan);
    if (!isOver(scan.segmentation.status)) followCard(card);
  } catch (error) {
    if (isAbort(error)) card.remove();
    else if (error instanceof ApiError && (error.isOffline || error.status >= 500)) showProgress(card, "failed", `${error.message} The file was not stored.`);
    else showProgress(card, "rejected", messageOf(error));
  } finally {
    if (card.dataset.state !== "failed") uploads.delete(card);
  }
}

async function next() {
  if (active >= AT_ONCE) return;
  const first = waiting.shift();
  if (!first) return;
  const { card, file } = first;
  if (!card.isConnected) {
    next();
    return;
  }
  active += 1;
  await send(card, file);
  active -= 1;
  next();
}

/**
 * @param {HTMLElement} card
 * @param {File} file
 */
function start(card, file) {
  showProgress(card, "uploading", "Waiting to upload");
  uploads.set(card, { file, abort: () => card.remove() });
  waiting.push({ card, file });
  next();
}

/**
 * Cards stand, and uploads start, in the order in which the files were chosen.
 * @param {FileList} files
 */
function accept(files) {
  const chosen = [...files].reverse().map((file) => ({ file, card: newCard(file.name) })).reverse();
  for (const { file, card } of chosen) {
    if (file.size > maxMegabytes * 1e6 * 1.05) {
      showProgress(card, "rejected", `The file has ${fileSize(file.size)}; the limit is ${maxMegabytes} MB.`);
    } else if (file.size === 0) {
      showProgress(card, "rejected", "The file is empty.");
    } else {
      start(card, file);
    }
  }
}

/* ---- choose ---- */
input.addEventListener("change", () => {
  if (input.files) accept(input.files);
  input.value = "";
});
form.addEventListener("submit", (event) => event.preventDefault());

/* ---- drop, anywhere on the page ---- */
let depth = 0; // dragenter and dragleave fire for every element on the way
const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;

/** @param {boolean} isShown */
function showVeil(isShown) {
  veil.hidden = !isShown;
  document.documentElement.classList.toggle("dragging", isShown);
}
window.addEventListener("dragenter", (event) => {
  if (!hasFiles(event)) return;
  depth += 1;
  showVeil(true);
});
window.addEventListener("dragleave", (event) => {
  if (hasFiles(event) && --depth <= 0) showVeil(false);
});
window.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
window.addEventListener("drop", (event) => {
  if (!event.dataTransfer || !hasFiles(event)) return;
  event.preventDefault();
  depth = 0;
  showVeil(false);
  accept(event.dataTransfer.files);
});

/* ---- the buttons of the cards ---- */
list.addEventListener("click", (event) => {
  const target = targetOf(event);
  const button = target?.closest("button");
  const card = target?.closest("li");
  if (!button || !card) return;
  const { action } = button.dataset;
  const upload = uploads.get(card);
  if (action === "dismiss") card.remove();
  else if (action === "cancel" && upload) upload.abort();
  else if (action === "retry" && upload) start(card, upload.file);
  else if (action === "cancel" || action === "retry") actOnRun(card, action);
});

/* ---- keys ---- */
document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (event.key === "u") input.click();
  if (event.key !== "j" && event.key !== "k") return;
  const links = elements('[data-slot="name"][href]', HTMLElement, list);
  const at = links.findIndex((link) => link === document.activeElement);
  links[Math.min(links.length - 1, Math.max(0, event.key === "j" ? at + 1 : at - 1))]?.focus();
});

/* ---- phantoms: once clicked, not twice ---- */
const samples = elements(".sample", HTMLButtonElement);
for (const sample of samples) {
  sample.form?.addEventListener("submit", () => setTimeout(() => { sample.disabled = true; }));
}
window.addEventListener("pageshow", () => {
  for (const sample of samples) sample.disabled = false;
});

/* ---- a tab that is looked at again shows what was uploaded and deleted elsewhere ---- */
const isBusy = () => document.hidden || uploads.size > 0 || waiting.length > 0
  || list.querySelector('[data-state="uploading"], [data-state="rejected"]') !== null || document.querySelector("dialog[open]") !== null;
const keyOf = (/** @type {HTMLElement} */ { dataset }) => `${dataset.scan} ${dataset.segmentation}`;

async function refreshList() {
  if (isBusy()) return;
  const page = await fetch("/").then((response) => (response.ok ? response.text() : "")).catch(() => "");
  const fresh = new DOMParser().parseFromString(page, "text/html").getElementById("cards");
  if (!fresh || isBusy()) return; // the server is away, or the reader has begun something
  const cards = cardsOf(fresh);
  const known = new Map(cardsOf(list).map((card) => [keyOf(card), card]));
  if (cards.map(keyOf).join() === [...known.keys()].slice(0, cards.length).join() && cards.length > 0) return;
  list.replaceChildren(...cards.map((card) => known.get(keyOf(card)) ?? card));
  showEmpty(cards.length === 0);
  refreshTimes(list);
  for (const card of cards) if (card.isConnected) adoptCard(card);
}
document.addEventListener("visibilitychange", refreshList);

for (const card of cardsOf(list)) adoptCard(card);
