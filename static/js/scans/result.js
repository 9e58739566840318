/* The result page: the viewer where there is a result, else the state of the job until there is one. */
import { getRuns, getScan, saveThreshold } from "../core/api.js";
import { isTyping } from "../core/dialogs.js";
import { placeInLine } from "../core/format.js";
import { isOver, watchScan } from "../core/jobs.js";
import { notify } from "../core/notices.js";
import { followKeys } from "../viewer/keys.js";
import { Viewer } from "../viewer/viewer.js";

const RUNS_EVERY_MS = 1000;
const SAVE_WAIT_S = 3;
const byId = (id) => document.getElementById(id);
const { scan, status, latest, latestStatus, segmentation } = byId("result").dataset;

function startViewer() {
  const viewer = new Viewer(byId("viewer"));
  followKeys(viewer);
  byId("threshold").addEventListener("input", (event) => viewer.setThreshold(Number(event.target.value)));
  byId("opacity").addEventListener("input", (event) => viewer.setOpacity(Number(event.target.value) / 100));
  byId("toggle-mask").addEventListener("click", () => viewer.toggleMask());
  byId("toggle-heatmap").addEventListener("click", () => viewer.toggleHeatmap());
  byId("drop-preview").addEventListener("click", () => viewer.setThreshold(viewer.stored));
  byId("save-threshold").addEventListener("click", () => save(viewer));
  byId("viewer").addEventListener("click", ({ target }) => {
    const zoom = target.closest("[data-zoom]");
    const enlarge = target.closest("[data-enlarge]");
    if (zoom) viewer.zoom(zoom.dataset.zoom);
    if (enlarge) viewer.enlarge(enlarge.dataset.enlarge);
  });
  window.addEventListener("beforeprint", () => viewer.beforePrint());
  window.addEventListener("afterprint", () => viewer.afterPrint());
  return viewer.start();
}

function historyLink() {
  return Object.assign(document.createElement("a"), { href: "/scans", textContent: "Go to the history" });
}

async function save(viewer) {
  const button = byId("save-threshold");
  const problem = byId("save-problem");
  button.disabled = true;
  problem.hidden = true;
  try {
    // The model is named only beside an older run: without a name the stored map is used, and the network does not run.
    await saveThreshold(scan, viewer.threshold, viewer.root.dataset.model);
    await getScan(scan, SAVE_WAIT_S); // mostly done at once; else the page says that it is in line
    location.assign(`/scans/${scan}?slice=${viewer.index}`);
  } catch (error) {
    problem.textContent = error.message;
    if (error.status === 404) problem.replaceChildren("This scan was deleted elsewhere. ", historyLink());
    problem.hidden = false;
    button.disabled = false;
  }
}

/* ---- before there is a result ---- */
function showPlace(current) {
  const run = current.segmentation;
  if (run.status === "queued" && status === "queued") byId("pending-title").textContent = placeInLine(run.queue_position);
  if (run.status === "running" && status === "queued") byId("pending-title").textContent = "The model is reading the scan";
}

async function waitForResult() {
  const offline = (error) => notify("offline", `${error.message} This page goes on by itself.`, "error");
  const last = await watchScan(scan, (current) => {
    notify("offline", null);
    showPlace(current);
  }, { status, onOffline: offline });
  if (last) location.reload();
  else location.assign("/scans");
}

/* A newer run is under way while an older result is shown. */
async function waitForLatest() {
  const runs = await getRuns(scan).catch(() => null);
  const run = (runs?.segmentations ?? runs)?.find?.(({ id }) => id === latest);
  if (run && isOver(run.status)) location.assign(`/scans/${scan}`);
  else setTimeout(waitForLatest, RUNS_EVERY_MS);
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (event.key === "j") byId("older")?.click();
  if (event.key === "k") byId("newer")?.click();
});

if (byId("viewer")) startViewer();
else if (!isOver(status)) waitForResult();
if (latest !== segmentation && !isOver(latestStatus)) waitForLatest();
for (const picture of document.querySelectorAll(".pending img")) {
  picture.addEventListener("error", () => { picture.hidden = true; }, { once: true });
}
