/* What every page does: times, dialogs, the dot of the worker, the notice when the server is out of reach. */
import { confirmForms, keysDialog } from "./dialogs.js";
import { notify } from "./notices.js";
import { keepTimesFresh } from "./times.js";

const READY_EVERY_MS = 20_000;
const UNREADY_EVERY_MS = 4000; // while something is missing: the reader waits for it

/** True, false, or null where the answer of /readyz does not tell. */
function workerIsReady(body) {
  const checks = body?.checks ?? body;
  const state = checks?.worker;
  if (state === undefined || state === null) return null;
  if (typeof state === "object") return Boolean(state.ok ?? state.ready ?? state.status === "ok");
  return state === true || state === "ok";
}

function showWorker(isReady) {
  const dot = document.getElementById("worker-state");
  const state = isReady ? "yes" : "no";
  if (dot.dataset.ready === state) return;
  dot.dataset.ready = state;
  dot.textContent = isReady ? "Worker ready" : "No worker";
  notify("no-worker", isReady ? null : "No worker is running. New scans wait in line and start by themselves when one is back.", "warn");
}

async function checkServer() {
  if (document.hidden) return;
  try {
    const response = await fetch("/readyz", { headers: { Accept: "application/json" } });
    notify("offline", null);
    const isReady = workerIsReady(await response.json().catch(() => null));
    if (isReady !== null) showWorker(isReady);
  } catch {
    notify("offline", "The server cannot be reached. This page goes on by itself when it is back.", "error");
  }
  checkLater();
}

let timer = 0;

function checkLater() {
  clearTimeout(timer);
  const isFine = document.getElementById("worker-state").dataset.ready === "yes" && !document.getElementById("offline");
  timer = setTimeout(checkServer, isFine ? READY_EVERY_MS : UNREADY_EVERY_MS);
}

keepTimesFresh();
confirmForms();
keysDialog();
checkLater();
document.addEventListener("visibilitychange", checkServer);
window.addEventListener("offline", checkServer);
window.addEventListener("online", checkServer);
