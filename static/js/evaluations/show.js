/* The page of one evaluation: progress while it runs, by asking once a second; every slot keeps its room. */
/** @import { Evaluation } from "../core/types.js" */
import { ApiError, hasStatus, messageOf, request } from "../core/api.js";
import { element, elements, findElement } from "../core/elements.js";
import { count, timeLeft } from "../core/format.js";
import { isOver } from "../core/jobs.js";
import { notify } from "../core/notices.js";

const EVERY_MS = 1000;
const OFFLINE_EVERY_MS = 3000;
const NONE = "–";

/**
 * Changed text alone is written: a screen reader would read the same again.
 * @param {HTMLElement | null} slot
 * @param {string} text
 */
function write(slot, text) {
  if (slot && slot.textContent !== text) slot.textContent = text;
}

/**
 * @param {HTMLElement} box
 * @param {Evaluation} evaluation
 */
function show(box, { progress }) {
  /** @param {string} name @param {string} text */
  const set = (name, text) => write(findElement(`[data-slot="${name}"]`, HTMLElement, box), text);
  const isChecking = progress.stage === "checking";
  const done = isChecking ? progress.checked : progress.done;
  const stage = element('[data-slot="stage"]', HTMLElement, box);
  write(stage, JSON.parse(stage.dataset.stages ?? "{}")[progress.stage]);
  const bar = element('[data-slot="bar"]', HTMLProgressElement, box);
  bar.max = progress.total || 1;
  bar.value = done;
  set("done", count(done));
  set("total", progress.total === null ? "?" : count(progress.total));
  set("rate", !isChecking && progress.rate_per_s ? `${progress.rate_per_s.toFixed(1)} a second` : NONE);
  set("left", !isChecking && progress.seconds_left !== null ? `about ${timeLeft(progress.seconds_left)}` : NONE);
  set("dice", progress.mean_dice === null ? NONE : progress.mean_dice.toFixed(3));
  set("waits", progress.waits_for ?? "");
  for (const outcome of elements("[data-outcome]", HTMLElement, box)) {
    write(outcome, count(progress.outcomes[outcome.dataset.outcome ?? ""] ?? 0));
  }
}

/** The findings stand on the page as soon as the check has ended. */
async function fetchFindings() {
  const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
  const fresh = page.getElementById("findings");
  if (fresh) element("#findings", HTMLElement).replaceWith(fresh);
}

/** @param {HTMLElement} box */
async function watch(box) {
  let stage = box.dataset.stage;
  let pause = EVERY_MS;
  try {
    /** @type {Evaluation} */
    const evaluation = await request("GET", `/evaluations/${box.dataset.evaluation}`);
    notify("evaluation-offline", null);
    if (isOver(evaluation.status)) {
      location.reload();
      return;
    }
    show(box, evaluation);
    if (stage !== evaluation.progress.stage && evaluation.findings) await fetchFindings();
    stage = evaluation.progress.stage;
  } catch (error) {
    if (hasStatus(error, 404)) {
      location.assign("/evaluations");
      return;
    }
    // That the server is out of reach says every page.
    if (!(error instanceof ApiError && error.isOffline)) notify("evaluation-offline", `${messageOf(error)} This page goes on by itself.`, "error");
    pause = OFFLINE_EVERY_MS;
  }
  box.dataset.stage = stage;
  setTimeout(() => watch(box), pause);
}

for (const form of elements("form[data-submits]", HTMLFormElement)) {
  form.addEventListener("change", (event) => event.target instanceof HTMLSelectElement && form.requestSubmit());
}
const box = findElement("#progress", HTMLElement);
if (box) watch(box);
