/* The result page: the viewer where there is a result, else the state of the job until there is one. */
/** @import { Scan } from "../core/types.js" */
import { getRuns, getScan, hasCode, hasStatus, messageOf, saveThreshold } from "../core/api.js";
import { isAtWork, isTyping } from "../core/dialogs.js";
import { element, elements, findElement } from "../core/elements.js";
import { placeInLine, slicesDone } from "../core/format.js";
import { isOver, watchScan } from "../core/jobs.js";
import { notify } from "../core/notices.js";
import { followControls } from "../viewer/controls.js";
import { Viewer } from "../viewer/viewer.js";
import { followModel } from "./run_again.js";

const RUNS_EVERY_MS = 1000;
const SAVE_WAIT_S = 3;
const button = (/** @type {string} */ selector) => element(selector, HTMLButtonElement);
const pinned = new URLSearchParams(location.search).get("segmentation") ?? ""; // a run that was asked for by its address
const { scan = "", status = "", latest, latestStatus, segmentation } = element("#result", HTMLElement).dataset;

/** @param {HTMLElement} root */
function startViewer(root) {
  const viewer = new Viewer(root);
  followControls(viewer);
  findElement("#save-threshold", HTMLButtonElement)?.addEventListener("click", () => save(viewer)); // whose role only reads has none
  return viewer.start();
}

function historyLink() {
  return Object.assign(document.createElement("a"), { href: "/scans", textContent: "Go to the history" });
}

/** @param {Viewer} viewer */
async function save(viewer) {
  const saves = button("#save-threshold");
  const problem = element("#save-problem", HTMLElement);
  saves.disabled = true;
  problem.hidden = true;
  try {
    // The model is named only beside an older run: without a name the stored map is used, and the network does not run.
    await saveThreshold(scan, viewer.threshold, viewer.root.dataset.model);
    // Mostly done at once; else, also where too many wait already, the page says that it is in line.
    await getScan(scan, SAVE_WAIT_S).catch((error) => hasCode(error, "too_many_waiting") || Promise.reject(error));
    location.assign(`/scans/${scan}?slice=${viewer.index}`);
  } catch (error) {
    problem.textContent = messageOf(error);
    if (hasStatus(error, 404)) problem.replaceChildren("This scan was deleted elsewhere. ", historyLink());
    problem.hidden = false;
    saves.disabled = false;
  }
}

/* ---- before there is a result ---- */
/** @param {Scan} current */
function showPlace(current) {
  const run = current.segmentation;
  const title = element("#pending-title", HTMLElement);
  if (run.status === "queued" && status === "queued") title.textContent = placeInLine(run.queue_position);
  if (run.status === "running") title.textContent = run.slices_done ? slicesDone(current) : "The model is reading the scan";
}

async function waitForResult() {
  const offline = (/** @type {unknown} */ error) => notify("offline", `${messageOf(error)} This page goes on by itself.`, "error");
  const last = await watchScan(scan, (current) => {
    notify("offline", null);
    showPlace(current);
  }, { status, onOffline: offline, segmentation: pinned });
  if (last) location.reload();
  else location.assign("/scans");
}

/* A newer run is under way while an older result is shown. Its page comes when nobody writes on this one. */
async function waitForLatest() {
  let run;
  try {
    run = (await getRuns(scan)).segmentations.find(({ id }) => id === latest);
  } catch (error) {
    if (hasStatus(error, 404)) {
      notify("gone", "This scan was deleted elsewhere.", "warn");
      return;
    }
  }
  if (run && isOver(run.status)) turnToLatest();
  else setTimeout(waitForLatest, RUNS_EVERY_MS);
}

function turnToLatest() {
  if (isAtWork()) {
    element("#latest-run", HTMLElement).textContent = "The new segmentation has ended. This page turns to it once you leave the field or dialog.";
    setTimeout(turnToLatest, RUNS_EVERY_MS);
    return;
  }
  const slice = new URLSearchParams(location.search).get("slice"); // in view
  location.assign(`/scans/${scan}${slice ? `?slice=${slice}` : ""}`);
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (event.key === "j") findElement("#older", HTMLElement)?.click();
  if (event.key === "k") findElement("#newer", HTMLElement)?.click();
});

const viewerRoot = findElement("#viewer", HTMLElement);
followModel();
if (viewerRoot) startViewer(viewerRoot);
else if (!isOver(status)) waitForResult();
if (latest !== segmentation && !isOver(latestStatus)) waitForLatest();
for (const picture of elements(".pending img", HTMLImageElement)) {
  picture.addEventListener("error", () => { picture.hidden = true; }, { once: true });
}
