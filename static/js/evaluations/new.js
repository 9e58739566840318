/* Starting an evaluation: data are chosen or dropped, options filled in, and a button sends them: a zip as it is, a folder packed
   first; progress in both. */
/** @import { ErrorBody, Evaluation } from "../core/types.js" */
/** @import { PathFile } from "../core/folders.js" */
import { errorFrom, isAbort, messageOf } from "../core/api.js";
import { receiveDrops } from "../core/drops.js";
import { element } from "../core/elements.js";
import { chosenFiles, droppedFiles } from "../core/folders.js";
import { count, fileSize } from "../core/format.js";
import { mayHaveArrived, newKey, postForm } from "../core/uploads.js";
import { zip } from "../core/zip.js";

/* What a data set is made of, and images and annotations of other kinds: the endings of ml/datasets/file_names.py; a test holds them equal. */
const TAKEN = /(\.(tiff?|png|jpe?g|jpe|jfif|webp|nii|nii\.gz|nrrd|json|xml|csv|tsv|ctbl|label)|(label|colou?r)[^/]*\.txt|(^|\/)(classes|class_names)\.txt|(^|\/)(data|dataset)\.ya?ml|(^|\/)labels?\/([^/]+\/)*[^/]+\.txt)$/i;
const OTHER = /(?<!\.nii)\.(7z|arrow|avif|bmp|brik|bz2|crdownload|csv|czi|dcm|dicom|download|filepart|geojson|gif|gz|h5|hdf5|hdr|head|heic|heif|icloud|ima|img|j2k|jp2|jpx|json|jsonl|jxl|mat|mgh|mgz|mha|mhd|mif|mnc|mrxs|ndjson|ndpi|nextcloud|nhdr|npy|npz|owncloud|par|parquet|part|partial|pbm|pgm|pickle|pkl|pnm|ppm|psd|pt|rar|rec|roi|scn|svg|svs|tar|tga|tgz|tsv|txt|voi|vti|vtk|xml|xz|zip)$/i;
const isTaken = (/** @type {PathFile} */ { path }) => TAKEN.test(path) || OTHER.test(path);

/**
 * A file of a kind that is not read goes without its bytes: the check names it as left out.
 * @param {PathFile} file
 * @returns {PathFile}
 */
const withoutBytes = ({ path, file }) => ({ path, file: TAKEN.test(path) ? file : new File([], file.name) });

/** @typedef {{ archive: Blob, name: string }} Archive */

const form = element("#archive-form", HTMLFormElement);
const archiveInput = element("#archive", HTMLInputElement);
const directoryInput = element("#directory", HTMLInputElement);
const maxFiles = Number(form.dataset.maxFiles);
const maxBytes = Number(form.dataset.maxMb) * 1e6;
/** @type {AbortController | null} stops the upload that runs */
let stop = null;
/** @type {((signal: AbortSignal) => Promise<Archive>) | null} makes what was chosen ready to be sent; null: nothing is chosen */
let chosen = null;
let sentAs = { said: "", key: "" }; // what was sent last, while it may have arrived: sent again, it is one evaluation

/** @param {string | null} text null: none */
function problem(text) {
  const field = element("#archive-problem", HTMLElement);
  field.textContent = text ?? "";
  field.hidden = !text;
}

/**
 * @param {string | null} words what is being done; null: nothing
 * @param {number} [fraction] 0 to 1
 */
function sending(words, fraction = 0) {
  element("#sending", HTMLElement).hidden = words === null;
  element("#archive-send", HTMLButtonElement).disabled = words !== null;
  if (words === null) return;
  const status = element("#sending-words", HTMLElement);
  if (status.textContent !== words) status.textContent = words;
  element("#sending-bar", HTMLProgressElement).value = fraction;
}

/**
 * @param {Archive} packed
 * @param {AbortSignal} signal
 * @returns {Promise<Evaluation>}
 */
async function send({ archive, name }, signal) {
  const fields = new FormData(form);
  const body = new FormData();
  body.append("archive", archive, name);
  const said = [name, `${archive.size}`];
  for (const field of ["name", "model", "threshold"]) {
    const value = fields.get(field);
    if (value) body.append(field, value);
    said.push(`${value ?? ""}`);
  }
  if (sentAs.said !== said.join("\n")) sentAs = { said: said.join("\n"), key: newKey() };
  const onProgress = (/** @type {number} */ fraction) => sending(fraction < 1 ? "Sending" : "Unpacking on the server", fraction);
  /** @type {{ status: number, body: (Evaluation & ErrorBody) | null }} */
  const answer = await postForm("/evaluations", body, { key: sentAs.key, onProgress, signal });
  if (answer.status < 300 && answer.body?.id) return answer.body;
  throw errorFrom(answer.status, answer.body);
}

/**
 * Sends what `make` packs, one at a time, and goes to the page of the evaluation.
 * @param {(signal: AbortSignal) => Promise<Archive>} make
 */
async function start(make) {
  if (stop) return;
  stop = new AbortController();
  problem(null);
  try {
    const packed = await make(stop.signal);
    const { size } = packed.archive;
    if (size > maxBytes) throw new RangeError(`This is ${count(Math.ceil(size / 1e6))} MB, and at most ${count(maxBytes / 1e6)} MB are taken.`);
    sending("Sending");
    const evaluation = await send(packed, stop.signal);
    stop = null;
    location.assign(evaluation.links.page);
  } catch (error) {
    sending(null);
    if (!isAbort(error) && !mayHaveArrived(error)) sentAs = { said: "", key: "" };
    if (!isAbort(error)) problem(messageOf(error) || "The folder cannot be read by the browser.");
  } finally {
    stop = null;
  }
}

/**
 * Keeps what is to be sent once the options are filled in, and says what it is.
 * @param {string} name of the zip or the folder
 * @param {string} words what is in it
 * @param {(signal: AbortSignal) => Promise<Archive>} make
 */
function choose(name, words, make) {
  if (stop) return; // another is being sent
  chosen = make;
  problem(null);
  const field = element("#archive-chosen", HTMLElement);
  field.hidden = false;
  field.textContent = `Chosen: ${name}, ${words}. Set name, model and threshold below, then send it.`;
}

/** @param {File} file */
const chooseZip = (file) => choose(file.name, fileSize(file.size), async () => ({ archive: file, name: file.name }));

/** @param {PathFile[]} files */
function chooseFolder(files) {
  if (!files.length) problem("There are no images in it; choose the folder of the data set.");
  else if (files.length > maxFiles) problem(`It has more than ${count(maxFiles)} files; choose a smaller folder.`);
  else choose(files[0].path.split("/")[0], `${count(files.length)} files`, (signal) => pack(files, signal));
}

/**
 * @param {PathFile[]} files
 * @param {AbortSignal} signal
 * @returns {Promise<Archive>}
 */
async function pack(files, signal) {
  const words = `Packing ${count(files.length)} files`;
  sending(words);
  const archive = await zip(files, { signal, onProgress: (fraction) => sending(words, fraction) });
  return { archive, name: `${files[0].path.split("/")[0]}.zip` };
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (chosen) start(chosen);
  else problem("Choose a zip or a folder first.");
});
archiveInput.addEventListener("change", () => {
  const file = archiveInput.files?.[0];
  if (file) chooseZip(file);
});
directoryInput.addEventListener("change", () => {
  if (directoryInput.files?.length) chooseFolder(chosenFiles(directoryInput.files).filter(isTaken).map(withoutBytes));
});
// After Back the browser may have kept a file in the field.
if (archiveInput.files?.[0]) chooseZip(archiveInput.files[0]);
element("#sending-stop", HTMLElement).addEventListener("click", () => stop?.abort());

// What is packed or sent is lost with the page.
window.addEventListener("beforeunload", (event) => stop && event.preventDefault());

receiveDrops((transfer) => {
  const [file, ...others] = transfer.files;
  if (file && !others.length && /\.zip$/i.test(file.name)) {
    chooseZip(file);
    return;
  }
  const walk = droppedFiles(transfer, maxFiles);
  walk.then(
    (files) => chooseFolder(files.filter(isTaken).map(withoutBytes)),
    (error) => problem(messageOf(error) || "The folder cannot be read by the browser."),
  );
});
