/* The history: filters that apply at once, selection by mouse and keyboard, rows that follow their jobs. */
import { isTyping } from "../core/dialogs.js";
import { stateOf } from "../core/format.js";
import { isOver, watchScan } from "../core/jobs.js";
import { setIcon } from "../core/icons.js";

const SEARCH_PAUSE_MS = 500;
const NAMES_SHOWN = 5; // of those that a deletion takes

const byId = (id) => document.getElementById(id);
const filters = byId("filters");
const rows = [...document.querySelectorAll("#history tbody tr")];
const boxes = rows.map((row) => row.querySelector('input[name="scan"]'));
const links = rows.map((row) => row.querySelector(".cell-name a"));

/* ---- filters: only what is set goes into the address ---- */
function applyFilters() {
  const address = new URL(filters.action);
  const usual = filters.elements.sort.options[0].value; // the first order is the one without a word for it
  for (const [name, value] of new FormData(filters)) if (value && !(name === "sort" && value === usual)) address.searchParams.set(name, value);
  filters.dataset.loading = "";
  location.assign(address);
}
byId("filter-fold").addEventListener("click", (event) => {
  event.currentTarget.setAttribute("aria-expanded", filters.toggleAttribute("data-open"));
});
/* After Back the fields say what the address says, not what was typed into them. */
window.addEventListener("pageshow", ({ persisted }) => {
  if (!persisted && performance.getEntriesByType("navigation")[0]?.type !== "back_forward") return;
  clearTimeout(timer);
  delete filters.dataset.loading;
  filters.reset();
});
let timer = 0;
filters.addEventListener("change", (event) => event.target.type !== "search" && event.target.type !== "date" && applyFilters());
filters.addEventListener("submit", (event) => {
  event.preventDefault();
  applyFilters();
});
for (const date of filters.querySelectorAll('input[type="date"]')) {
  // While a date is typed, each digit is a change; it is applied once the field is left.
  const before = date.value;
  date.addEventListener("blur", () => date.value !== before && applyFilters());
}
filters.elements.q.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    sessionStorage.setItem("search-focus", "yes");
    applyFilters();
  }, SEARCH_PAUSE_MS);
});
if (sessionStorage.getItem("search-focus")) {
  sessionStorage.removeItem("search-focus");
  const { q } = filters.elements;
  q.focus();
  q.setSelectionRange(q.value.length, q.value.length);
}

/* ---- selection ---- */
let anchor = 0; // where a range with Shift begins

/* The filters of the list in view, in words; empty without any. */
function filterWords() {
  const given = new URLSearchParams(location.search);
  return [...filters.elements].filter(({ name }) => name && name !== "sort" && given.get(name)).map((field) => {
    const value = field.options ? field.options[field.selectedIndex].text : given.get(field.name);
    return `${field.labels[0].textContent.toLowerCase()} “${value}”`;
  }).join(", ");
}

/* What a deletion takes: the first names, how many more, and the filters under which they were chosen. */
function deletionWords() {
  const names = rows.filter((_, index) => boxes[index].checked).map((row) => row.querySelector(".cell-name a").title);
  const more = names.length > NAMES_SHOWN ? `\nand ${names.length - NAMES_SHOWN} more` : "";
  const filtered = filterWords() ? `\nChosen from the list filtered by ${filterWords()}.` : "";
  return `${names.slice(0, NAMES_SHOWN).join("\n")}${more}${filtered}\n\nThe files, their maps and all their segmentations are removed. This is final.`;
}

function showSelection() {
  const chosen = boxes.filter((box) => box.checked).length;
  byId("bulk-bar").toggleAttribute("data-open", chosen > 0);
  byId("bulk-count").textContent = `${chosen} selected`;
  const all = byId("select-all");
  all.checked = chosen === boxes.length;
  all.indeterminate = chosen > 0 && chosen < boxes.length;
  Object.assign(byId("bulk-delete").dataset, {
    confirmTitle: chosen === 1 ? "Delete one scan?" : `Delete ${chosen} scans?`,
    confirmMessage: deletionWords(),
    confirmLabel: "Delete for good",
  });
}

function select(index, isChecked, withRange) {
  const [low, high] = withRange ? [Math.min(anchor, index), Math.max(anchor, index)] : [index, index];
  for (let i = low; i <= high; i++) boxes[i].checked = isChecked;
  anchor = index;
  showSelection();
}

function selectAll(isChecked) {
  for (const box of boxes) box.checked = isChecked;
  showSelection();
}

/* ---- keys ---- */
function rowWithFocus() {
  return rows.findIndex((row) => row.contains(document.activeElement));
}

const keys = {
  j: () => links[Math.min(links.length - 1, rowWithFocus() + 1)].focus(),
  k: () => links[Math.max(0, rowWithFocus() - 1)].focus(),
  x: (event) => rowWithFocus() >= 0 && select(rowWithFocus(), event.shiftKey || !boxes[rowWithFocus()].checked, event.shiftKey),
  a: () => selectAll(boxes.some((box) => !box.checked)),
  delete: () => boxes.some((box) => box.checked) && byId("bulk-delete").click(),
  escape: () => selectAll(false),
};

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (event.key === "/") {
    event.preventDefault();
    filters.elements.q.focus();
    return;
  }
  if (rows.length) keys[event.key.toLowerCase()]?.(event);
});

/* ---- rows whose job is not over ---- */
async function follow(row) {
  const last = await watchScan(row.dataset.scan, ({ segmentation: run }) => {
    if (isOver(run.status)) return;
    const { tone, icon, words } = stateOf(run.status);
    const chip = row.querySelector('[data-slot="chip"]');
    chip.dataset.tone = tone;
    setIcon(chip.querySelector("svg"), icon);
    chip.querySelector("span").textContent = words;
  }, { status: row.dataset.status });
  if (last) showOutcome(row, last);
}

/* The server knows how a finished row looks: the page is fetched again and this row taken from it. */
async function showOutcome(row, scan) {
  const page = await fetch(location.href).then((response) => response.text()).catch(() => "");
  const fresh = new DOMParser().parseFromString(page, "text/html").querySelector(`tr[data-scan="${scan.id}"]`);
  if (!fresh) return;
  for (const name of ["cell-picture", "cell-finding", "cell-coverage"]) {
    row.querySelector(`.${name}`).replaceChildren(...fresh.querySelector(`.${name}`).childNodes);
  }
}

if (rows.length) {
  byId("select-all").addEventListener("change", (event) => selectAll(event.target.checked));
  byId("bulk-clear").addEventListener("click", () => selectAll(false));
  for (const [index, box] of boxes.entries()) box.addEventListener("click", (event) => select(index, box.checked, event.shiftKey));
  window.addEventListener("pageshow", showSelection); // a page from the browser's memory keeps its boxes
  showSelection();
  for (const row of rows) if (!isOver(row.dataset.status)) follow(row);
}
