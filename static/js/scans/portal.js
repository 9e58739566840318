/* The portal: files dropped anywhere become cards, and the cards become results. */
/** @import { PathFile } from "../core/folders.js" */
/** @import { Rejected, Scan } from "../core/types.js" */
/** @import { Upload } from "./uploads.js" */
import { ApiError, hasCode, hasStatus, isAbort, messageOf } from "../core/api.js";
import { isTyping } from "../core/dialogs.js";
import { receiveDrops } from "../core/drops.js";
import { element, elements, targetOf } from "../core/elements.js";
import { chosenFiles, droppedFiles } from "../core/folders.js";
import { count, fileSize } from "../core/format.js";
import { isOver } from "../core/jobs.js";
import { firstNames, refusalsOf, showName } from "../core/names.js";
import { notify } from "../core/notices.js";
import { refreshTimes } from "../core/times.js";
import { guardUploads } from "../core/unsent.js";
import { mayHaveArrived, newKey } from "../core/uploads.js";
import { actOnRun, adoptCard, fillCard, followCard, showProgress } from "./cards.js";
import { examinationsOf, isDiscIndex, picturesOfDiscs } from "./dicom.js";
import { groupFiles, likeSlices, studyNames } from "./grouping.js";
import { namesakes, pairMasks } from "./mask_pairs.js";
import { sequenceStudies } from "./sequences.js";
import { isZip, MOST_PARTS, UploadQueue } from "./uploads.js";

const MOST_FILES = 5000; // of one drop

const form = element("#drop", HTMLFormElement);
const input = element("#files", HTMLInputElement);
const directory = element("#directory", HTMLInputElement);
const grouped = element("#group", HTMLInputElement);
const list = element("#cards", HTMLElement);
const maxMegabytes = Number(form.dataset.maxMb);
const maxRequestMegabytes = Number(form.dataset.maxRequestMb);
const maxSlices = Number(form.dataset.maxSlices);
const taken = (input.accept || "").split(",");
const queue = new UploadQueue();
/** @type {Map<HTMLElement, Upload>} by card */
const uploads = new Map();

const cardsOf = (/** @type {ParentNode} */ parent) => elements(".card", HTMLElement, parent);

/** @param {boolean} isEmpty of the list of cards */
function showEmpty(isEmpty) {
  element("#recent-empty", HTMLElement).hidden = !isEmpty;
  element("#all-scans", HTMLElement).hidden = isEmpty;
}

/**
 * @param {string} name of the scan
 * @param {HTMLElement} [before] the card that it stands behind; the first of all where none is given
 */
function newCard(name, before) {
  const empty = element("#card-template", HTMLTemplateElement).content;
  const card = element(".card", HTMLElement, document.importNode(empty, true));
  showName(element('[data-slot="name"]', HTMLElement, card), name);
  if (before) before.after(card);
  else list.prepend(card);
  showEmpty(false);
  return card;
}

const bytesOf = (/** @type {PathFile[]} */ files) => files.reduce((sum, { file }) => sum + file.size, 0);
const slicesOf = (/** @type {PathFile[]} */ files) => (files.length > 1 ? `${count(files.length)} slices, ` : "");

/**
 * @param {HTMLElement} card
 * @param {number} fraction
 * @param {PathFile[]} files
 */
function showSent(card, fraction, files) {
  element("progress", HTMLProgressElement, card).value = Math.round(fraction * 100);
  const size = bytesOf(files);
  const reading = files.length > 1 ? `Reading ${count(files.length)} slices` : "Reading the file";
  showProgress(card, "uploading", fraction < 1 ? `${slicesOf(files)}${fileSize(fraction * size)} of ${fileSize(size)}` : reading);
}

/**
 * Shows what became of an upload: its scan, further ones where its slices differ in size, and what was not taken.
 * @param {HTMLElement} card
 * @param {{ scans: Scan[], rejected: Rejected[] }} answer
 */
function showAnswer(card, { scans, rejected }) {
  let last = card;
  for (const [place, scan] of scans.entries()) {
    if (place > 0) last = newCard(scan.filename, last);
    fillCard(last, scan);
    if (!isOver(scan.segmentation.status)) followCard(last);
  }
  if (!rejected.length) return;
  const refused = newCard(rejected.length > 1 ? `${count(rejected.length)} files` : rejected[0].filename, last);
  showProgress(refused, "rejected", refusalsOf(rejected));
}

/**
 * @param {HTMLElement} card
 * @param {unknown} error
 */
function showFailure(card, error) {
  const isOurs = error instanceof ApiError && error.status >= 500;
  const isMany = (uploads.get(card)?.files.length ?? 1) > 1;
  if (isAbort(error)) card.remove();
  else if (hasCode(error, "idempotency_key_in_use")) showProgress(card, "failed", "The server is still at what was sent before; try again in a moment.");
  else if (mayHaveArrived(error)) showProgress(card, "failed", `${messageOf(error)} ${isMany ? "The files" : "The file"} may have arrived; sent again, ${isMany ? "they are" : "it is"} stored once.`);
  else if (hasStatus(error, 401)) showProgress(card, "failed", messageOf(error));
  else if (isOurs) showProgress(card, "failed", `${error.message} ${isMany ? "The files were" : "The file was"} not stored.`);
  else showProgress(card, "rejected", messageOf(error));
}

/** @param {HTMLElement} card whose upload is in `uploads` */
function start(card) {
  const upload = uploads.get(card);
  if (!upload) return;
  showProgress(card, "uploading", `${slicesOf(upload.files)}waiting to upload`.replace(/^w/, "W"));
  queue.add(upload);
}

/**
 * @param {HTMLElement} card
 * @param {string} name
 * @param {PathFile[]} files
 * @param {PathFile[]} masks
 * @param {string} folder that makes it one of a study
 * @returns {Upload}
 */
const uploadOf = (card, name, files, masks, folder) => ({
  key: newKey(),
  name,
  files,
  masks,
  choices: { model: element("#field-model", HTMLSelectElement).value, threshold: element("#field-threshold", HTMLInputElement).value, volume: element("#field-volume", HTMLInputElement).value, study: element("#field-study", HTMLInputElement).value.trim() || folder },
  isWanted: () => card.isConnected,
  onProgress: (fraction) => showSent(card, fraction, files),
  onDone: (answer) => {
    uploads.delete(card);
    showAnswer(card, answer);
  },
  onFailed: (error) => {
    showFailure(card, error);
    if (card.dataset.state !== "failed") uploads.delete(card);
  },
});

/**
 * Why the files of a scan are not sent; null where they are.
 * @param {PathFile[]} files
 * @param {boolean} [isSeries] of DICOM, which may be several scans
 */
function refusalOf(files, isSeries = false) {
  const large = files.find(({ file }) => file.size > maxMegabytes * 1e6 * 1.05);
  if (large) return `The file has ${fileSize(large.file.size)}; the limit is ${maxMegabytes} MB.`;
  if (files.length === 1 && files[0].file.size === 0) return "The file is empty (0 bytes); copy, download or export it again.";
  if (bytesOf(files) > maxRequestMegabytes * 1e6) return `These are ${fileSize(bytesOf(files))}, and one request takes ${count(maxRequestMegabytes)} MB; choose fewer.`;
  if (isSeries) return null;
  if (files.length > MOST_PARTS) return `These are ${count(files.length)} files, more than one request takes; send the folder as a zip.`;
  if (files.length > maxSlices) return `These are ${count(files.length)} slices, and a scan has at most ${count(maxSlices)}; choose fewer.`;
  return null;
}

const some = (/** @type {PathFile[]} */ files, /** @type {string} */ one, /** @type {string} */ many) =>
  `${count(files.length)} ${files.length === 1 ? one : many} (${firstNames(files.map(({ file }) => file.name))})`;

/**
 * The scans of a drop, with the experts' masks of their slices. Says what is not sent: files of a folder that are no pictures, and masks
 * that belong to no slice.
 * @param {PathFile[]} files
 * @param {PathFile[]} ofDiscs pictures that are not sent, being a disc's own
 * @returns {{ name: string, folder: string, files: PathFile[], masks: PathFile[] }[]} folder: that makes them a study
 */
function scansOf(files, ofDiscs) {
  const isPicture = ({ path = "" }) => taken.some((ending) => path.toLowerCase().endsWith(ending));
  const others = files.filter((file) => file.path.includes("/") && !isPicture(file));
  const zips = files.filter(({ path }) => isZip(path)); // the server unpacks them
  const chosen = files.filter((file) => !others.includes(file) && !zips.includes(file));
  const pairs = pairMasks(chosen.map(({ path }) => path));
  const lonely = pairs.refused.map((place) => chosen[place]);
  const answers = pairs.answers.map((place) => chosen[place]);
  const paths = pairs.scans.map((place) => chosen[place].path);
  const groups = grouped.checked ? groupFiles(paths) : paths.map((path, place) => ({ name: path.replace(/^.*\//, ""), places: [place] }));
  const folders = studyNames(paths, groups);
  const studies = sequenceStudies(paths, form.dataset.sequenceWords ?? "", new Date().toISOString().slice(0, 19).replace("T", " "));
  const scans = groups.map(({ name, places }, index) => {
    const slices = places.map((place) => pairs.scans[place]);
    const masks = slices.flatMap((slice) => pairs.masks.get(slice) ?? []);
    return { name, folder: studies[places[0]] || folders[index], files: slices.map((place) => chosen[place]), masks: masks.map((place) => chosen[place]) };
  });
  scans.push(...zips.map((zip) => ({ name: zip.path.replace(/^.*\//, ""), folder: "", files: [zip], masks: [] })));
  const many = scans.filter((scan) => scan.files.length + scan.masks.length > MOST_PARTS).flatMap((scan) => scan.masks.splice(0));
  const said = [];
  if (lonely.length) said.push(`${some(lonely, "expert's mask", "experts' masks")}, for each needs its one slice beside it: NAME_mask beside NAME`);
  const shifted = pairs.shifted.map((place) => chosen[place]);
  if (shifted.length) said.push(`${some(shifted, "expert's mask", "experts' masks")}, for they are counted from another number than their slices, and each would be its neighbor's; rename one or the other`);
  if (many.length) said.push(`${some(many, "expert's mask", "experts' masks")}, for these are too many files for one request; add them on the page of the scan`);
  if (answers.length) said.push(`${some(answers, "model's answer or overlay by its name", "models' answers or overlays by their names")}, beside the image; rename what is a scan`);
  if (ofDiscs.length) said.push(`${some(ofDiscs, "picture", "pictures")} beside a disc's DICOM images, such as its viewer brings; what is a scan is taken where it is chosen alone`);
  if (others.length) said.push(some(others, "file of another kind", "files of another kind"));
  notify("left-out", said.length ? `Left out: ${said.join("; ")}.` : null);
  const slices = grouped.checked ? likeSlices(groups.filter(({ places }) => places.length === 1).map(({ places }) => paths[places[0]])) : null;
  const stack = "select them in the history and choose “One stack” there";
  notify("like-slices", slices ? `${count(slices.count)} pictures like ${slices.first} are a scan each, since their names do not end with a number. If they are the slices of one head, ${stack}.` : null);
  const alike = namesakes(paths)?.map((path) => path.replace(/^.*\//, ""));
  const remedy = alike ? `call it ${alike[1].replace(/\.[^.]*$/, "")}_mask and send both again` : "";
  notify("namesakes", alike ? `${alike.join(" and ")} have one name, and each is taken as a scan. If one is the expert's mask of the other, ${remedy}.` : null, "warn");
  return scans;
}

/**
 * Cards stand, and uploads start, in the order in which the files were chosen; DICOM series, which the server sorts, come first.
 * @param {PathFile[]} files
 */
async function accept(files) {
  if (!form.checkValidity()) { // what is no number has no value, and the default would be taken
    element("#drop-options", HTMLDetailsElement).open = true;
    form.reportValidity();
    notify("left-out", "None was sent: a field below does not say what it should. Mend it, and choose them again.", "warn");
    return;
  }
  if (files.length > MOST_FILES) {
    notify("left-out", `These are more than ${count(MOST_FILES)} files, and none was sent; choose fewer, or evaluate a whole data set on Evaluations.`, "warn");
    return;
  }
  const images = await examinationsOf(files.filter((file) => !isDiscIndex(file)), maxRequestMegabytes * 1e6);
  // Without its images a DICOMDIR is sent, and the server says what to send.
  const series = images.length ? images : await examinationsOf(files, maxRequestMegabytes * 1e6);
  const sent = series.flatMap((scan) => scan.files);
  const indexes = images.length ? files.filter(isDiscIndex) : [];
  const ofDiscs = picturesOfDiscs(files, indexes);
  const leave = new Set([...sent, ...indexes, ...ofDiscs]);
  const scans = [...series, ...scansOf(files.filter((file) => !leave.has(file)), ofDiscs)];
  if (!files.length) notify("left-out", "There are no files in it.", "warn");
  // The first one is on top, so the last one is put there first.
  const cards = [...scans].reverse().map(({ name }) => newCard(name)).reverse();
  for (const [place, { name, folder, files: slices, masks }] of scans.entries()) {
    const card = cards[place];
    const refusal = refusalOf(slices, series.some((scan) => scan.files === slices));
    if (refusal) {
      showProgress(card, "rejected", refusal);
      continue;
    }
    uploads.set(card, uploadOf(card, name, slices, masks, folder));
    start(card);
  }
}

/* ---- choose ---- */
for (const field of [input, directory]) {
  field.addEventListener("change", () => {
    if (field.files) accept(chosenFiles(field.files));
    field.value = "";
  });
}
form.addEventListener("submit", (event) => event.preventDefault());

/* ---- drop, anywhere on the page; leave ---- */
receiveDrops(async (transfer) => {
  try {
    accept(await droppedFiles(transfer, MOST_FILES));
  } catch {
    notify("left-out", "The browser cannot read this folder; choose its files instead.", "error");
  }
});
guardUploads(() => queue.unsent());

/* ---- the buttons of the cards ---- */
list.addEventListener("click", (event) => {
  const target = targetOf(event);
  const button = target?.closest("button");
  const card = target?.closest("li");
  if (!button || !card) return;
  const { action } = button.dataset;
  const upload = uploads.get(card);
  if (action === "dismiss") card.remove();
  else if (action === "cancel" && upload) {
    queue.cancel(upload);
    uploads.delete(card);
    card.remove();
  } else if (action === "retry" && upload) start(card);
  else if (action === "cancel" || action === "retry") actOnRun(card, action);
});

/* ---- keys ---- */
document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (event.key === "u") input.click();
  if (event.key === "f") directory.click();
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
const isBusy = () => document.hidden || uploads.size > 0 || queue.isBusy
  || list.querySelector('[data-state="uploading"], [data-state="rejected"]') !== null || document.querySelector("dialog[open]") !== null;
const keyOf = (/** @type {HTMLElement} */ { dataset }) => `${dataset.scan} ${dataset.segmentation}`;

/**
 * True where a card says that its run is over, and it was tried again elsewhere: a card that is over follows nothing.
 * @param {HTMLElement | undefined} card
 * @param {HTMLElement} fresh
 */
const isStale = (card, fresh) => isOver(card?.dataset.state) && card?.dataset.state !== fresh.dataset.state;

async function refreshList() {
  if (isBusy()) return;
  const page = await fetch("/").then((response) => (response.ok ? response.text() : "")).catch(() => "");
  const fresh = new DOMParser().parseFromString(page, "text/html").getElementById("cards");
  if (!fresh || isBusy()) return; // the server is away, or the reader has begun something
  const cards = cardsOf(fresh);
  const known = new Map(cardsOf(list).map((card) => [keyOf(card), card]));
  for (const card of cards) if (isStale(known.get(keyOf(card)), card)) known.delete(keyOf(card));
  if (cards.map(keyOf).join() === [...known.keys()].slice(0, cards.length).join() && cards.length > 0) return;
  list.replaceChildren(...cards.map((card) => known.get(keyOf(card)) ?? card));
  showEmpty(cards.length === 0);
  refreshTimes(list);
  for (const card of cards) if (card.isConnected) adoptCard(card);
}
document.addEventListener("visibilitychange", refreshList);

for (const card of cardsOf(list)) adoptCard(card);
