/* Files dropped on a page. A page that takes none says where they belong: the browser would open a file in the place of the page. */
import { notify } from "./notices.js";

/** @type {((transfer: DataTransfer) => void) | null} */
let receive = null;
let depth = 0; // dragenter and dragleave fire for every element on the way

const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;

/** @param {boolean} isOver files are held over the page */
function showDragging(isOver) {
  if (!isOver) depth = 0;
  document.documentElement.classList.toggle("dragging", isOver && receive !== null);
  const veil = document.getElementById("drop-veil");
  if (veil) veil.hidden = !isOver;
}

/**
 * Hands over what is dropped anywhere on the page.
 * @param {(transfer: DataTransfer) => void} receiver
 */
export function receiveDrops(receiver) {
  receive = receiver;
}

/** Keeps a dropped file from taking the place of the page; every page calls this once. */
export function guardDrops() {
  window.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    showDragging(true);
  });
  window.addEventListener("dragleave", (event) => {
    if (hasFiles(event) && --depth <= 0) showDragging(false);
  });
  window.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (!receive && event.dataTransfer) event.dataTransfer.dropEffect = "none";
  });
  window.addEventListener("drop", (event) => {
    if (!event.dataTransfer || !hasFiles(event)) return;
    event.preventDefault();
    showDragging(false);
    if (receive) receive(event.dataTransfer);
    else notify("no-drop", "This page takes no files. Drop scans on the Portal, and folders with an expert's masks on Evaluations.", "warn");
  });
}
