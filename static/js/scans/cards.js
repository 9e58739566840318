/* A scan's card: the slots of templates/macros/cards.html, filled from the API's JSON. */
/** @import { Scan } from "../core/types.js" */
import { cancelRun, messageOf, retryRun } from "../core/api.js";
import { reasonOf, showState, showWarnings, stateOf, wordOf } from "../core/chips.js";
import { element } from "../core/elements.js";
import { detailOf } from "../core/format.js";
import { setIcon } from "../core/icons.js";
import { isOver, watchScan } from "../core/jobs.js";
import { seriesWords, showName } from "../core/names.js";
import { refreshTimes } from "../core/times.js";

/**
 * @template {Element} T
 * @param {HTMLElement} card
 * @param {string} name
 * @param {new () => T} type
 */
const slot = (card, name, type) => element(`[data-slot="${name}"]`, type, card);

/**
 * @param {HTMLElement} card
 * @param {string} name
 */
const action = (card, name) => element(`[data-action="${name}"]`, HTMLButtonElement, card);

/** @param {string} words read out by a screen reader */
function announce(words) {
  element("#announcer", HTMLElement).textContent = words;
}

/**
 * Shows how far a card is: its chip (of the verdict where there is one), its detail and its buttons.
 * @param {HTMLElement} card
 * @param {string} status
 * @param {string} detail
 * @param {string | null} [verdict]
 * @param {string} [reason] why there is none
 */
export function showProgress(card, status, detail, verdict = null, reason = "") {
  card.dataset.state = status;
  showState(card, verdict ?? status, reason);
  setIcon(element(".card-glyph", HTMLElement, card), stateOf(verdict ?? status).icon);
  slot(card, "detail", HTMLElement).textContent = detail;
  slot(card, "progress", HTMLElement).hidden = status !== "uploading";
  action(card, "cancel").hidden = !["uploading", "queued", "running"].includes(status);
  action(card, "retry").hidden = !["failed", "cancelled"].includes(status);
  action(card, "dismiss").hidden = status !== "rejected";
}

/**
 * Shows a scan that is on the server.
 * @param {HTMLElement} card
 * @param {Scan} scan
 */
export function fillCard(card, scan) {
  const run = scan.segmentation;
  const address = `/scans/${scan.id}`;
  card.dataset.scan = scan.id;
  card.dataset.segmentation = run.id;
  const name = slot(card, "name", HTMLAnchorElement);
  slot(card, "link", HTMLAnchorElement).href = address;
  name.href = address;
  showName(name, scan.filename);
  showWarnings(card, run.warnings, run.verdict);
  const series = slot(card, "series", HTMLElement);
  series.textContent = seriesWords(scan.series);
  series.hidden = !series.textContent;
  showRelations(card, scan);
  const verdict = run.status === "succeeded" && run.verdict ? wordOf(run.verdict, run.uncounted_pixels) : null;
  showProgress(card, run.status, detailOf(scan), verdict, verdict === "not_assessed" ? reasonOf(run.warnings) : "");
  const picture = slot(card, "picture", HTMLImageElement);
  picture.hidden = false;
  // Before there is a result the thumbnail is the scan alone.
  const source = `/api/v1/scans/${scan.id}/thumbnail.jpg?side=192${run.status === "succeeded" ? `&segmentation=${run.id}` : ""}`;
  if (picture.getAttribute("src") !== source) picture.src = source;
  const time = document.createElement("time");
  time.dateTime = scan.created_at;
  slot(card, "time", HTMLElement).replaceChildren(time);
  refreshTimes(card);
}

/**
 * Says of which study a scan is, and which earlier one is the same file; templates/macros/cards.html writes the same.
 * @param {HTMLElement} card
 * @param {Scan} scan
 */
function showRelations(card, { study, same_as: earlier }) {
  const line = slot(card, "relations", HTMLElement);
  line.hidden = !study && !earlier;
  line.replaceChildren();
  if (study) line.append("Study ", linkTo(`/scans?study=${study.id}`, study.name), earlier ? ". " : "");
  if (!earlier) return;
  const time = document.createElement("time");
  time.dateTime = earlier.created_at;
  line.append("Same file as ", linkTo(`/scans/${earlier.id}`, earlier.filename), ", ", time);
}

/**
 * @param {string} href
 * @param {string} words
 */
function linkTo(href, words) {
  const link = document.createElement("a");
  link.href = href;
  link.textContent = words;
  return link;
}

/**
 * Keeps a card up to date until its job has ended.
 * @param {HTMLElement} card
 */
export async function followCard(card) {
  const detail = slot(card, "detail", HTMLElement);
  const following = new AbortController(); // a card that left the page is followed no longer
  const last = await watchScan(card.dataset.scan ?? "", (scan) => (card.isConnected ? fillCard(card, scan) : following.abort()), {
    status: card.dataset.state,
    signal: following.signal,
    onOffline: () => { detail.textContent = "The server cannot be reached; trying again."; },
  });
  if (last) {
    const { verdict, status, uncounted_pixels: uncounted } = last.segmentation;
    announce(`${last.filename}: ${stateOf(verdict ? wordOf(verdict, uncounted) : status).words}`);
  }
  else card.remove(); // deleted elsewhere
}

/**
 * Cancel and retry of a card whose scan is on the server.
 * @param {HTMLElement} card
 * @param {"cancel" | "retry"} name
 */
export async function actOnRun(card, name) {
  const button = action(card, name);
  const run = card.dataset.segmentation ?? "";
  button.disabled = true;
  try {
    await (name === "cancel" ? cancelRun(run) : retryRun(run));
    if (name === "retry") {
      showProgress(card, "queued", "In line");
      followCard(card);
    } else {
      showProgress(card, "cancelled", "Stopped before it finished");
    }
  } catch (error) {
    slot(card, "detail", HTMLElement).textContent = messageOf(error);
  } finally {
    button.disabled = false;
  }
}

/**
 * Shows the right buttons on a card that the server rendered, and follows it where its job is not over.
 * @param {HTMLElement} card
 */
export function adoptCard(card) {
  const { state = "" } = card.dataset;
  action(card, "cancel").hidden = !["queued", "running"].includes(state);
  action(card, "retry").hidden = !["failed", "cancelled"].includes(state);
  if (!isOver(state)) followCard(card);
}
