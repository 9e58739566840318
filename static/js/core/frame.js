/* What every page does: times, dialogs, dropped files, whether a worker runs, the notice when the server is out of reach. */
/** @import { Readiness } from "./types.js" */
import { confirmForms, keysDialog } from "./dialogs.js";
import { guardDrops } from "./drops.js";
import { element } from "./elements.js";
import { notify } from "./notices.js";
import { followPalette } from "./palette.js";
import { keepTimesFresh } from "./times.js";
import { sayUnsent } from "./unsent.js";

const READY_EVERY_MS = 20_000;
const UNREADY_EVERY_MS = 4000; // while something is missing: the reader waits for it

const workerState = element("#worker-state", HTMLElement);

/** @param {boolean} isReady */
function showWorker(isReady) {
  const state = isReady ? "yes" : "no";
  if (workerState.dataset.ready === state) return;
  workerState.dataset.ready = state;
  workerState.textContent = isReady ? "Worker ready" : "No worker";
  notify("no-worker", isReady ? null : "No worker is running. New scans wait in line and start by themselves when one is back.", "warn");
}

async function checkServer() {
  if (document.hidden) return;
  try {
    const response = await fetch("/readyz", { headers: { Accept: "application/json" }, redirect: "manual" });
    const isSentAway = response.type === "opaqueredirect"; // by a login in front of the portal
    notify("offline", isSentAway ? "You are not logged in any more. Log in again in another tab; this page then goes on by itself." : null, "error");
    /** @type {Readiness | null} null where a proxy answered in the server's place */
    const readiness = await response.json().catch(() => null);
    if (readiness?.worker !== undefined) showWorker(readiness.worker === "ok");
  } catch {
    notify("offline", "The server cannot be reached. This page goes on by itself when it is back.", "error");
  }
  checkLater();
}

let timer = 0;

function checkLater() {
  clearTimeout(timer);
  const isFine = workerState.dataset.ready === "yes" && !document.getElementById("offline");
  timer = setTimeout(checkServer, isFine ? READY_EVERY_MS : UNREADY_EVERY_MS);
}

keepTimesFresh();
confirmForms();
keysDialog();
guardDrops();
followPalette();
sayUnsent();
checkLater();
document.addEventListener("visibilitychange", checkServer);
window.addEventListener("offline", checkServer);
window.addEventListener("online", checkServer);
