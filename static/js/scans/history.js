/* The history: filters that apply at once, selection by mouse and keyboard, rows that follow their jobs. */
/** @import { Scan } from "../core/types.js" */
import { reasonOf, showState, wordOf } from "../core/chips.js";
import { isTyping } from "../core/dialogs.js";
import { element, elements, findElement, targetOf } from "../core/elements.js";
import { percent } from "../core/format.js";
import { isOver, watchScan } from "../core/jobs.js";
import { keep, readKept } from "../core/storage.js";

const SEARCH_PAUSE_MS = 500;
const NAMES_SHOWN = 5; // of those that a deletion takes
const SEARCH_FOCUS = "search-focus"; // kept for the next page: what is typed goes on there

const filters = element("#filters", HTMLFormElement);
const search = element('[name="q"]', HTMLInputElement, filters);
const sort = element('[name="sort"]', HTMLSelectElement, filters);
const rows = elements("#history tr[data-scan]", HTMLElement);
const boxes = rows.map((row) => element('input[name="scan"]', HTMLInputElement, row));
const links = rows.map((row) => element(".cell-name a", HTMLAnchorElement, row));

/* ---- filters: only what is set goes into the address ---- */
function applyFilters() {
  const address = new URL(filters.action);
  const usual = sort.options[0].value; // the default order needs no word in the address
  for (const [name, value] of new FormData(filters)) {
    if (value && !(name === "sort" && value === usual)) address.searchParams.set(name, String(value));
  }
  filters.dataset.loading = "";
  location.assign(address);
}
const fold = element("#filter-fold", HTMLElement);
fold.addEventListener("click", () => fold.setAttribute("aria-expanded", `${filters.toggleAttribute("data-open")}`));

/* After Back the fields say what the address says, not what was typed into them. */
window.addEventListener("pageshow", ({ persisted }) => {
  const [navigation] = performance.getEntriesByType("navigation");
  const isBack = navigation instanceof PerformanceNavigationTiming && navigation.type === "back_forward";
  if (!persisted && !isBack) return;
  clearTimeout(timer);
  delete filters.dataset.loading;
  filters.reset();
});
let timer = 0;
filters.addEventListener("change", (event) => event.target instanceof HTMLSelectElement && applyFilters());
filters.addEventListener("submit", (event) => {
  event.preventDefault();
  applyFilters();
});
for (const date of elements('input[type="date"]', HTMLInputElement, filters)) {
  // While a date is typed, each digit is a change; it is applied once the field is left.
  const before = date.value;
  date.addEventListener("blur", () => date.value !== before && applyFilters());
}
search.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    keep("sessionStorage", SEARCH_FOCUS, "yes");
    applyFilters();
  }, SEARCH_PAUSE_MS);
});
if (readKept("sessionStorage", SEARCH_FOCUS)) {
  keep("sessionStorage", SEARCH_FOCUS, null);
  search.focus();
  search.setSelectionRange(search.value.length, search.value.length);
}

/* ---- selection ---- */
let anchor = 0; // where a range with Shift begins

/* The filters of the list in view, in words; empty without any. */
function filterWords() {
  const given = new URLSearchParams(location.search);
  const words = [];
  for (const field of filters.elements) {
    if (!(field instanceof HTMLInputElement || field instanceof HTMLSelectElement)) continue;
    if (!field.name || field === sort || !given.get(field.name)) continue;
    const value = field instanceof HTMLSelectElement ? field.options[field.selectedIndex].text : given.get(field.name);
    const label = field.labels?.[0].textContent ?? "";
    words.push(`${label.charAt(0).toLowerCase()}${label.slice(1)} “${value}”`);
  }
  return words.join(", ");
}

/* What a deletion takes: the first names, how many more, and the filters under which they were chosen. */
function deletionWords() {
  const names = links.filter((_, index) => boxes[index].checked).map((link) => link.title);
  const more = names.length > NAMES_SHOWN ? `\nand ${names.length - NAMES_SHOWN} more` : "";
  const filtered = filterWords() ? `\nChosen from the list filtered by ${filterWords()}.` : "";
  return `${names.slice(0, NAMES_SHOWN).join("\n")}${more}${filtered}\n\nThe files, their maps and all their segmentations are removed, and scans of several sequences that were joined of them. Evaluations that were made of them keep their copies of the slices until those are deleted, too. This is final.`;
}

function showSelection() {
  const chosen = boxes.filter((box) => box.checked).length;
  element("#bulk-bar", HTMLElement).toggleAttribute("data-open", chosen > 0);
  element("#bulk-count", HTMLElement).textContent = `${chosen} selected`;
  const all = element("#select-all", HTMLInputElement);
  all.checked = chosen === boxes.length;
  all.indeterminate = chosen > 0 && chosen < boxes.length;
  const remove = findElement("#bulk-delete", HTMLElement); // whose role only reads has none
  if (remove) Object.assign(remove.dataset, {
    confirmTitle: chosen === 1 ? "Delete one scan?" : `Delete ${chosen} scans?`,
    confirmMessage: deletionWords(),
    confirmLabel: "Delete for good",
  });
}

/**
 * @param {number} index of the row
 * @param {boolean} isChecked
 * @param {boolean} withRange from the row that was chosen last
 */
function select(index, isChecked, withRange) {
  const [low, high] = withRange ? [Math.min(anchor, index), Math.max(anchor, index)] : [index, index];
  for (const box of boxes.slice(low, high + 1)) box.checked = isChecked;
  anchor = index;
  showSelection();
}

/** @param {boolean} isChecked */
function selectAll(isChecked) {
  for (const box of boxes) box.checked = isChecked;
  showSelection();
}

/* ---- a row opens its scan, as its name and its picture do ---- */
/** @param {MouseEvent} event */
function openRow(event) {
  const target = targetOf(event);
  const row = target?.closest("tr[data-scan]");
  if (!row || target?.closest("a, input, button, .cell-check") || getSelection()?.toString()) return;
  const link = links[rows.findIndex((other) => other === row)];
  if (event.ctrlKey || event.metaKey || event.button === 1) open(link.href);
  else link.click();
}

/* ---- keys ---- */
function rowWithFocus() {
  return rows.findIndex((row) => row.contains(document.activeElement));
}

/** @type {Record<string, (event: KeyboardEvent) => void>} */
const keys = {
  j: () => links[Math.min(links.length - 1, rowWithFocus() + 1)].focus(),
  k: () => links[Math.max(0, rowWithFocus() - 1)].focus(),
  x: (event) => {
    const row = rowWithFocus();
    if (row >= 0) select(row, event.shiftKey || !boxes[row].checked, event.shiftKey);
  },
  a: () => selectAll(boxes.some((box) => !box.checked)),
  delete: () => boxes.some((box) => box.checked) && findElement("#bulk-delete", HTMLElement)?.click(),
  escape: () => selectAll(false),
};

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (event.key === "/") {
    event.preventDefault();
    search.focus();
    return;
  }
  if (rows.length) keys[event.key.toLowerCase()]?.(event);
});

/* ---- rows whose job is not over ---- */
/** @param {HTMLElement} row */
async function follow(row) {
  const last = await watchScan(row.dataset.scan ?? "", ({ segmentation: run }) => {
    if (!isOver(run.status)) showState(row, run.status);
  }, { status: row.dataset.status });
  if (last) showOutcome(row, last);
  else dropRow(row); // deleted elsewhere
}

/** @param {HTMLElement} row */
function dropRow(row) {
  const at = rows.indexOf(row);
  for (const list of [rows, boxes, links]) list.splice(at, 1);
  row.remove();
  if (rows.length) showSelection();
  else location.reload(); // the list is another one, or none
}

/**
 * The server renders a finished row: the page is fetched again and this row taken from it.
 * @param {HTMLElement} row
 * @param {Scan} scan
 */
async function showOutcome(row, scan) {
  const page = await fetch(location.href).then((response) => response.text()).catch(() => "");
  const fresh = findElement(`tr[data-scan="${scan.id}"]`, HTMLElement, new DOMParser().parseFromString(page, "text/html"));
  if (!fresh) {
    showRun(row, scan);
    return;
  }
  for (const cell of [".cell-picture", ".cell-finding", ".cell-coverage"]) {
    element(cell, HTMLElement, row).replaceChildren(...element(cell, HTMLElement, fresh).childNodes);
  }
}

/**
 * The outcome of a row that is none of this list any more, which was filtered by its state, or is full of newer ones.
 * @param {HTMLElement} row
 * @param {Scan} scan
 */
function showRun(row, { segmentation: run }) {
  const verdict = run.status === "succeeded" && run.verdict ? wordOf(run.verdict, run.uncounted_pixels) : null;
  showState(row, verdict ?? run.status, verdict === "not_assessed" ? reasonOf(run.warnings) : "");
  if (run.coverage_percent !== null) element(".cell-coverage", HTMLElement, row).textContent = percent(run.coverage_percent);
}

if (rows.length) {
  const table = element("#history", HTMLElement);
  table.addEventListener("click", openRow);
  table.addEventListener("auxclick", (event) => event.button === 1 && openRow(event));
  const all = element("#select-all", HTMLInputElement);
  all.addEventListener("change", () => selectAll(all.checked));
  element("#bulk", HTMLFormElement).addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || !(event.target instanceof HTMLInputElement)) return;
    event.preventDefault(); // the browser would press the first button, which runs the scans again
    if (event.target.name === "study") element("#bulk-move", HTMLButtonElement).click();
  });
  element("#bulk-clear", HTMLElement).addEventListener("click", () => selectAll(false));
  for (const box of boxes) box.addEventListener("click", (event) => select(boxes.indexOf(box), box.checked, event.shiftKey));
  window.addEventListener("pageshow", showSelection); // a page from the browser's memory keeps its boxes
  showSelection();
  for (const row of [...rows]) if (!isOver(row.dataset.status)) follow(row);
}
