/* Starting an evaluation: a zip is sent as it is, a folder is packed first; progress in both. */
import { ROOT, csrfToken, errorFrom } from "../core/api.js";
import { count } from "../core/format.js";
import { chosenFiles, droppedFiles } from "./folders.js";
import { zip } from "./zip.js";

const byId = (id) => document.getElementById(id);
const form = byId("archive-form");
const maxFiles = Number(form.dataset.maxFiles);
const maxBytes = Number(form.dataset.maxMb) * 1e6;
let stop = null; // aborts what runs

function problem(text) {
  byId("archive-problem").textContent = text ?? "";
  byId("archive-problem").hidden = !text;
}

function sending(words, fraction) {
  byId("sending").hidden = words === null;
  byId("archive-send").disabled = words !== null;
  if (words === null) return;
  if (byId("sending-words").textContent !== words) byId("sending-words").textContent = words;
  byId("sending-bar").value = fraction;
}

function send(archive, name, signal) {
  const body = new FormData();
  body.append("archive", archive, name);
  for (const field of ["name", "model", "threshold"]) {
    if (form.elements[field].value) body.append(field, form.elements[field].value);
  }
  const xhr = new XMLHttpRequest();
  return new Promise((resolve, reject) => {
    xhr.upload.addEventListener("progress", (event) => {
      const fraction = event.lengthComputable ? event.loaded / event.total : 0;
      sending(fraction < 1 ? "Sending" : "Unpacking on the server", fraction);
    });
    xhr.addEventListener("error", () => reject(errorFrom(0)));
    xhr.addEventListener("abort", () => reject(signal.reason));
    xhr.addEventListener("load", () => {
      let answer = null;
      try {
        answer = JSON.parse(xhr.responseText);
      } catch {
        // something in between answered; errorFrom says so
      }
      if (xhr.status < 300 && answer?.id) resolve(answer);
      else reject(errorFrom(xhr.status, answer));
    });
    signal.addEventListener("abort", () => xhr.abort());
    xhr.open("POST", `${ROOT}/evaluations`);
    xhr.setRequestHeader("Accept", "application/json");
    xhr.setRequestHeader("X-CSRFToken", csrfToken());
    xhr.send(body);
  });
}

/** One at a time; `make` gives the archive and its name. */
async function start(make) {
  if (stop) return;
  stop = new AbortController();
  problem(null);
  try {
    const { archive, name } = await make(stop.signal);
    if (archive.size > maxBytes) throw new RangeError(`This is ${count(Math.ceil(archive.size / 1e6))} MB, and at most ${count(maxBytes / 1e6)} MB are taken.`);
    sending("Sending", 0);
    const evaluation = await send(archive, name, stop.signal);
    location.assign(evaluation.links.page);
  } catch (error) {
    sending(null);
    if (error.name !== "AbortError") problem(error.message || "The folder cannot be read by the browser.");
  } finally {
    stop = null;
  }
}

async function pack(files, signal) {
  if (!files.length) throw new RangeError("There are no images in it; choose the folder of the data set.");
  if (files.length > maxFiles) throw new RangeError(`It has more than ${count(maxFiles)} files; choose a smaller folder.`);
  const words = `Packing ${count(files.length)} files`;
  sending(words, 0);
  const archive = await zip(files, { signal, onProgress: (fraction) => sending(words, fraction) });
  return { archive, name: `${files[0].path.split("/")[0]}.zip` };
}

const isZip = (file) => /\.zip$/i.test(file.name);

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const file = byId("archive").files[0];
  if (file) start(async () => ({ archive: file, name: file.name }));
  else problem("Choose a zip or a folder first.");
});
byId("archive").addEventListener("change", () => byId("archive").files.length && form.requestSubmit());
byId("directory").addEventListener("change", () => {
  const files = chosenFiles(byId("directory").files);
  start((signal) => pack(files, signal));
});
byId("sending-stop").addEventListener("click", () => stop?.abort());

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => event.relatedTarget === null && document.body.classList.remove("dragging"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  const [file] = event.dataTransfer.files;
  if (event.dataTransfer.files.length === 1 && isZip(file)) {
    start(async () => ({ archive: file, name: file.name }));
    return;
  }
  const files = droppedFiles(event.dataTransfer, maxFiles);
  start(async (signal) => pack(await files, signal));
});
