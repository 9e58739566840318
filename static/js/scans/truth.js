/* The expert's mask on the result page: pictures and figures follow the slice in view, and a dropped file becomes the mask. */
import { receiveDrops } from "../core/drops.js";
import { element, elements, findElement } from "../core/elements.js";
import { droppedFiles } from "../core/folders.js";
import { notify } from "../core/notices.js";

const MOST_FILES = 5000; // of one drop

/** @param {HTMLElement} root */
function followSlice(root) {
  const viewer = findElement("#viewer", HTMLElement);
  const pictures = findElement("#truth-pictures", HTMLElement);
  if (!viewer || !pictures) return;
  const known = (root.dataset.slices ?? "").split(" ");
  const show = () => {
    const { slice = "0" } = viewer.dataset;
    const isKnown = known.includes(slice);
    pictures.hidden = !isKnown;
    element("#truth-missing", HTMLElement).hidden = isKnown;
    for (const slot of elements('[data-slot="truth-slice"]', HTMLElement, root)) slot.textContent = `slice ${Number(slice) + 1}`;
    for (const slot of elements('[data-slot="truth-number"]', HTMLElement, root)) slot.textContent = `${Number(slice) + 1}`;
    for (const image of isKnown ? elements("img[data-truth]", HTMLImageElement, pictures) : []) {
      image.src = `${image.dataset.src}&slice=${slice}`;
      image.alt = image.alt.replace(/[0-9]+$/, `${Number(slice) + 1}`);
    }
    const row = findElement(`#truth-slices [data-slice="${slice}"]`, HTMLElement);
    for (const cell of elements(".truth-table [data-metric]", HTMLElement, root)) {
      const source = row && findElement(`[data-metric="${cell.dataset.metric}"]`, HTMLElement, row);
      cell.textContent = source?.textContent ?? "–";
    }
  };
  new MutationObserver(show).observe(viewer, { attributes: true, attributeFilter: ["data-slice"] });
}

/** @param {HTMLFormElement} form */
function takeDrops(form) {
  form.addEventListener("formdata", () => notify("truth-drop", "Reading the expert's mask…")); // it is sent, once agreed to
  const input = element("#truth-files", HTMLInputElement);
  receiveDrops(async (transfer) => {
    const chosen = new DataTransfer();
    try {
      for (const { file } of await droppedFiles(transfer, MOST_FILES)) chosen.items.add(file);
    } catch {
      notify("truth-drop", "The browser cannot read this folder; choose its files instead.", "error");
      return;
    }
    if (!chosen.files.length) return;
    if (chosen.files.length > 1 && !input.multiple) {
      notify("truth-drop", "This scan has one slice, so it takes one mask; drop that alone. Scans are dropped on the Portal.", "warn");
      return;
    }
    input.files = chosen.files;
    form.requestSubmit();
  });
}

const root = findElement("#truth", HTMLElement);
if (root) followSlice(root);
const form = findElement("#truth-form", HTMLFormElement);
if (form) takeDrops(form);
