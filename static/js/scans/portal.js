/* The portal: files dropped anywhere become cards, and the cards become results. */
import { actOnRun, adoptCard, fillCard, followCard, showState } from "./cards.js";
import { isTyping } from "../core/dialogs.js";
import { fileSize } from "../core/format.js";
import { isOver } from "../core/jobs.js";
import { showName } from "../core/names.js";
import { refreshTimes } from "../core/times.js";
import { uploadFile } from "./uploads.js";

const AT_ONCE = 1; // one after the other: scans are stored, and stand in line, in the order in which they were chosen

const form = document.getElementById("drop");
const input = document.getElementById("files");
const list = document.getElementById("cards");
const veil = document.getElementById("drop-veil");
const maxMegabytes = Number(form.dataset.maxMb);
const uploads = new Map(); // card -> {file, abort}
const waiting = [];
let active = 0;

function newCard(name) {
  const card = document.getElementById("card-template").content.firstElementChild.cloneNode(true);
  showName(card.querySelector('[data-slot="name"]'), name);
  list.prepend(card);
  document.getElementById("recent-empty").hidden = true;
  document.getElementById("all-scans").hidden = false;
  return card;
}

function showProgress(card, fraction, file) {
  card.querySelector("progress").value = Math.round(fraction * 100);
  const sent = fraction < 1 ? `${fileSize(fraction * file.size)} of ${fileSize(file.size)}` : "Reading the file";
  showState(card, "uploading", sent);
}

async function send(card, file) {
  const upload = uploadFile(file, (fraction) => showProgress(card, fraction, file));
  uploads.set(card, { file, abort: upload.abort });
  try {
    const scan = await upload.promise;
    fillCard(card, scan);
    if (!isOver(scan.segmentation.status)) followCard(card);
  } catch (error) {
    if (error.name === "AbortError") card.remove();
    else if (error.isOffline || error.status >= 500) showState(card, "failed", `${error.message} The file was not stored.`);
    else showState(card, "rejected", error.message);
  } finally {
    if (card.dataset.state !== "failed") uploads.delete(card);
  }
}

async function next() {
  if (active >= AT_ONCE || !waiting.length) return;
  const { card, file } = waiting.shift();
  if (!card.isConnected) return void next();
  active += 1;
  await send(card, file);
  active -= 1;
  next();
}

function start(card, file) {
  showState(card, "uploading", "Waiting to upload");
  uploads.set(card, { file, abort: () => card.remove() });
  waiting.push({ card, file });
  next();
}

/* Cards stand, and uploads start, in the order in which the files were chosen. */
function accept(files) {
  const chosen = [...files].reverse().map((file) => ({ file, card: newCard(file.name) })).reverse();
  for (const { file, card } of chosen) {
    if (file.size > maxMegabytes * 1e6 * 1.05) {
      showState(card, "rejected", `The file has ${fileSize(file.size)}; the limit is ${maxMegabytes} MB.`);
    } else if (file.size === 0) {
      showState(card, "rejected", "The file is empty.");
    } else {
      start(card, file);
    }
  }
}

/* ---- choose ---- */
input.addEventListener("change", () => {
  accept(input.files);
  input.value = "";
});
form.addEventListener("submit", (event) => event.preventDefault());

/* ---- drop, anywhere on the page ---- */
let depth = 0; // dragenter and dragleave fire for every element on the way
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
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
  if (!hasFiles(event)) return;
  event.preventDefault();
  depth = 0;
  showVeil(false);
  accept(event.dataTransfer.files);
});

/* ---- the buttons of the cards ---- */
list.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  if (!button) return;
  const card = button.closest(".card");
  const upload = uploads.get(card);
  if (button.dataset.action === "dismiss") card.remove();
  else if (button.dataset.action === "cancel" && upload) upload.abort();
  else if (button.dataset.action === "retry" && upload) start(card, upload.file);
  else actOnRun(card, button.dataset.action);
});

/* ---- keys ---- */
document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (event.key === "u") input.click();
  if (event.key !== "j" && event.key !== "k") return;
  const links = [...list.querySelectorAll('[data-slot="name"][href]')];
  const at = links.indexOf(document.activeElement);
  links[Math.min(links.length - 1, Math.max(0, event.key === "j" ? at + 1 : at - 1))]?.focus();
});

/* ---- phantoms: once clicked, not twice ---- */
for (const sample of document.querySelectorAll(".sample")) {
  sample.form.addEventListener("submit", () => setTimeout(() => { sample.disabled = true; }));
}
window.addEventListener("pageshow", () => {
  for (const sample of document.querySelectorAll(".sample")) sample.disabled = false;
});

/* ---- a tab that is looked at again shows what others did meanwhile ---- */
const isBusy = () => document.hidden || uploads.size > 0 || waiting.length > 0
  || list.querySelector('[data-state="uploading"], [data-state="rejected"]') !== null || document.querySelector("dialog[open]") !== null;
const keyOf = ({ dataset }) => `${dataset.scan} ${dataset.segmentation}`;

async function refreshList() {
  if (isBusy()) return;
  const page = await fetch("/").then((response) => (response.ok ? response.text() : "")).catch(() => "");
  const fresh = new DOMParser().parseFromString(page, "text/html").getElementById("cards");
  if (!fresh || isBusy()) return; // the server is away, or the reader has begun something
  const cards = [...fresh.children];
  const known = new Map([...list.children].map((card) => [keyOf(card), card]));
  if (cards.map(keyOf).join() === [...known.keys()].slice(0, cards.length).join() && cards.length > 0) return;
  list.replaceChildren(...cards.map((card) => known.get(keyOf(card)) ?? card));
  document.getElementById("recent-empty").hidden = cards.length > 0;
  document.getElementById("all-scans").hidden = cards.length === 0;
  refreshTimes(list);
  for (const card of cards) if (card.isConnected) adoptCard(card);
}
document.addEventListener("visibilitychange", refreshList);

for (const card of list.children) adoptCard(card);
