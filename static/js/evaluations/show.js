/* The page of one evaluation: progress while it runs, by asking once a second; every slot keeps its room. */
import { request } from "../core/api.js";
import { count } from "../core/format.js";
import { notify } from "../core/notices.js";
import { STAGES, duration } from "./labels.js";

const EVERY_MS = 1000;
const OFFLINE_EVERY_MS = 3000;
const NONE = "–";

const box = document.getElementById("progress");
const slot = (name) => box.querySelector(`[data-slot="${name}"]`);

function set(name, text) {
  const element = slot(name);
  if (element && element.textContent !== text) element.textContent = text;
}

function show({ progress }) {
  const isChecking = progress.stage === "checking";
  const done = isChecking ? progress.checked : progress.done;
  set("stage", STAGES[progress.stage]);
  const bar = slot("bar");
  bar.max = progress.total || 1;
  bar.value = done;
  set("done", count(done));
  set("total", progress.total === null ? "?" : count(progress.total));
  set("rate", !isChecking && progress.rate_per_s ? `${progress.rate_per_s.toFixed(1)} a second` : NONE);
  set("left", !isChecking && progress.seconds_left !== null ? `about ${duration(progress.seconds_left)}` : NONE);
  set("dice", progress.mean_dice === null ? NONE : progress.mean_dice.toFixed(3));
  set("waits", progress.waits_for ?? "");
  for (const element of box.querySelectorAll("[data-outcome]")) {
    const text = count(progress.outcomes[element.dataset.outcome] ?? 0);
    if (element.textContent !== text) element.textContent = text;
  }
}

/** The findings stand on the page as soon as the check has ended. */
async function fetchFindings() {
  const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
  const fresh = page.getElementById("findings");
  if (fresh) document.getElementById("findings").replaceWith(fresh);
}

async function watch() {
  let stage = box.dataset.stage;
  let pause = EVERY_MS;
  try {
    const evaluation = await request("GET", `/evaluations/${box.dataset.evaluation}`);
    notify("evaluation-offline", null);
    if (!["queued", "running"].includes(evaluation.status)) {
      location.reload();
      return;
    }
    show(evaluation);
    if (stage !== evaluation.progress.stage && evaluation.findings) await fetchFindings();
    stage = evaluation.progress.stage;
  } catch (error) {
    if (error.status === 404) {
      location.assign("/evaluations");
      return;
    }
    pause = OFFLINE_EVERY_MS;
  }
  box.dataset.stage = stage;
  setTimeout(watch, pause);
}

for (const form of document.querySelectorAll("form[data-submits]")) {
  form.addEventListener("change", (event) => event.target.tagName === "SELECT" && form.requestSubmit());
}
if (box) watch();
