/* The chip of a state or a verdict: icon, words and color say the same. Every page hands over the table of
   templates/macros/chips.html, so that a state is described in one place. */
/** @import { Segmentation } from "./types.js" */
import { element } from "./elements.js";
import { setIcon } from "./icons.js";

/** @type {Record<string, [tone: string, icon: string, words: string]>} by state or verdict */
const STATES = JSON.parse(document.body.dataset.states ?? "{}");

/**
 * Tone, icon and words of a state or a verdict.
 * @param {string} name
 */
export function stateOf(name) {
  const [tone, icon, words] = STATES[name] ?? ["plain", "info", name];
  return { tone, icon, words };
}

/**
 * Shows a state or a verdict in the chip of a card or a row.
 * @param {HTMLElement} parent
 * @param {string} name
 */
export function showState(parent, name) {
  const { tone, icon, words } = stateOf(name);
  const chip = element('[data-slot="chip"]', HTMLElement, parent);
  chip.dataset.tone = tone;
  setIcon(chip, icon);
  element("span", HTMLElement, chip).textContent = words;
}

/**
 * The sentence of a run's warning that its verdict may mean nothing, or "".
 * @param {Segmentation} run
 */
export const unlikeOf = (run) => run.warnings.find(({ code }) => code === "unlike_training_data")?.message ?? "";
