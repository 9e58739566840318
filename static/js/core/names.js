/* File names in sentences, and shortened in the middle, as templates/macros/names.html writes them. */
/** @import { Rejected, Series } from "./types.js" */
import { element } from "./elements.js";
import { count } from "./format.js";

const TAIL_LETTERS = 12;
const NAMES_SHOWN = 3;
const REASONS_SHOWN = 8;

/**
 * The first of several names, and how many more there are.
 * @param {string[]} names
 */
export function firstNames(names) {
  const more = names.length > NAMES_SHOWN ? ` and ${count(names.length - NAMES_SHOWN)} more` : "";
  return names.slice(0, NAMES_SHOWN).join(", ") + more;
}

/**
 * Why files were not taken: each reason once, with the files of which it is true. Of one file its reason alone.
 * @param {Rejected[]} rejected
 */
export function refusalsOf(rejected) {
  if (rejected.length === 1) return rejected[0].message;
  /** @type {Map<string, string[]>} */
  const reasons = new Map();
  for (const { filename, message } of rejected) reasons.set(message, [...(reasons.get(message) ?? []), filename]);
  const said = [...reasons].slice(0, REASONS_SHOWN).map(([message, names]) => `${firstNames(names)}: ${message}`);
  const left = [...reasons].slice(REASONS_SHOWN).reduce((sum, [, names]) => sum + names.length, 0);
  return said.join(" ") + (left ? ` And ${count(left)} more, for other reasons.` : "");
}

/**
 * Writes a file name into an element that holds the macro's spans.
 * @param {HTMLElement} parent
 * @param {string} name
 */
export function showName(parent, name) {
  const letters = Array.from(name); // by code points: half of a surrogate pair is no letter
  /** @param {string} slot @param {string} text */
  const part = (slot, text) => { element(`[data-slot="${slot}"]`, HTMLElement, parent).textContent = text; };
  part("name-whole", name);
  part("name-head", letters.slice(0, -TAIL_LETTERS).join(""));
  part("name-tail", letters.slice(-TAIL_LETTERS).join(""));
  parent.title = name;
}

/**
 * What may be said of a DICOM series, as the macro series_words says it.
 * @param {Series | null} series
 */
export const seriesWords = (series) => (series ? [series.modality, series.description, series.date].filter(Boolean).join(", ") : "");
