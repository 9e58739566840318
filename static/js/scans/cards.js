/* A scan's card: the slots of templates/macros/cards.html, filled from the API's JSON. */
import { cancelRun, retryRun } from "../core/api.js";
import { detailOf, stateOf, unlikeOf } from "../core/format.js";
import { setIcon } from "../core/icons.js";
import { isOver, watchScan } from "../core/jobs.js";
import { showName } from "../core/names.js";
import { refreshTimes } from "../core/times.js";

const slot = (card, name) => card.querySelector(`[data-slot="${name}"]`);
const action = (card, name) => card.querySelector(`[data-action="${name}"]`);

function announce(words) {
  document.getElementById("announcer").textContent = words;
}

/** Sets state, chip and detail; `verdict` replaces the state in the chip. */
export function showState(card, status, detail, verdict = null) {
  const { tone, icon, words } = stateOf(verdict ?? status);
  card.dataset.state = status;
  const chip = slot(card, "chip");
  chip.dataset.tone = tone;
  setIcon(chip.querySelector("svg"), icon);
  chip.querySelector("span").textContent = words;
  setIcon(card.querySelector(".card-glyph svg"), icon);
  slot(card, "detail").textContent = detail;
  slot(card, "progress").hidden = status !== "uploading";
  action(card, "cancel").hidden = !["uploading", "queued", "running"].includes(status);
  action(card, "retry").hidden = !["failed", "cancelled"].includes(status);
  action(card, "dismiss").hidden = status !== "rejected";
}

export function fillCard(card, scan) {
  const run = scan.segmentation;
  const address = `/scans/${scan.id}`;
  card.dataset.scan = scan.id;
  card.dataset.segmentation = run.id;
  slot(card, "link").href = address;
  slot(card, "name").href = address;
  showName(slot(card, "name"), scan.filename);
  slot(card, "phantom").hidden = scan.origin !== "phantom";
  const unlike = unlikeOf(run);
  slot(card, "unlike").hidden = unlike === "";
  slot(card, "unlike").title = unlike;
  showState(card, run.status, detailOf(scan), run.status === "succeeded" ? run.verdict : null);
  const picture = slot(card, "picture");
  picture.hidden = false;
  // Before there is a result the thumbnail is the scan alone.
  const source = `/api/v1/scans/${scan.id}/thumbnail.png${run.status === "succeeded" ? `?segmentation=${run.id}` : ""}`;
  if (picture.getAttribute("src") !== source) picture.src = source;
  const time = document.createElement("time");
  time.dateTime = scan.created_at;
  slot(card, "time").replaceChildren(time);
  refreshTimes(card);
}

/** Keeps a card up to date until its job has ended. */
export async function followCard(card) {
  const detail = slot(card, "detail");
  const following = new AbortController(); // a card that left the page is followed no longer
  const last = await watchScan(card.dataset.scan, (scan) => (card.isConnected ? fillCard(card, scan) : following.abort()), {
    status: card.dataset.state,
    signal: following.signal,
    onOffline: () => { detail.textContent = "The server cannot be reached; trying again."; },
  });
  if (last) announce(`${last.filename}: ${stateOf(last.segmentation.verdict ?? last.segmentation.status).words}`);
  else card.remove(); // deleted elsewhere
}

/** Cancel and retry of a card whose scan is on the server. */
export async function actOnRun(card, name) {
  const button = action(card, name);
  button.disabled = true;
  try {
    await (name === "cancel" ? cancelRun : retryRun)(card.dataset.segmentation);
    if (name === "retry") {
      showState(card, "queued", "In line");
      followCard(card);
    } else {
      showState(card, "cancelled", "Stopped before it finished");
    }
  } catch (error) {
    slot(card, "detail").textContent = error.message;
  } finally {
    button.disabled = false;
  }
}

/** Shows the right buttons on a card that the server rendered, and follows it where its job is not over. */
export function adoptCard(card) {
  const { state } = card.dataset;
  action(card, "cancel").hidden = !["queued", "running"].includes(state);
  action(card, "retry").hidden = !["failed", "cancelled"].includes(state);
  if (!isOver(state)) followCard(card);
}
