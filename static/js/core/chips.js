/* The chip of a state or a verdict: icon, words and color say the same. Every page hands over the table of
   templates/macros/chips.html, so that a state is described in one place. */
/** @import { Warning } from "./types.js" */
import { element } from "./elements.js";
import { iconOf, setIcon } from "./icons.js";

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
 * A verdict as it is shown: "no tumor found" is for scans on which nothing was seen.
 * @param {string} verdict
 * @param {number | null} uncounted pixels that were seen and not counted
 */
export const wordOf = (verdict, uncounted) => (verdict === "no_tumor" && uncounted ? "no_tumor_counted" : verdict);

/**
 * The warning under which an empty mask is no all-clear, which a missing verdict names.
 * @param {Warning[]} warnings
 */
const voidingOf = (warnings) => warnings.find(({ voids_all_clear: isVoid, chip }) => isVoid && chip);

/**
 * Why there is no verdict; empty without such a warning.
 * @param {Warning[]} warnings
 */
export function reasonOf(warnings) {
  const chip = voidingOf(warnings)?.chip;
  return chip ? `: ${chip[0].toLowerCase()}${chip.slice(1)}` : "";
}

/**
 * Shows a state or a verdict in the chip of a card or a row.
 * @param {HTMLElement} parent
 * @param {string} name
 * @param {string} [reason] of `reasonOf`, said after the words
 */
export function showState(parent, name, reason = "") {
  const { tone, icon, words } = stateOf(name);
  const chip = element('[data-slot="chip"]', HTMLElement, parent);
  chip.dataset.tone = tone;
  setIcon(chip, icon);
  element("span", HTMLElement, chip).textContent = words + reason;
}

/**
 * Shows the chips of the warnings that have one, as the macro warning_chips does: before the verdict what puts it in question.
 * @param {HTMLElement} parent
 * @param {Warning[]} warnings
 * @param {string | null} [verdict] the warning that `not_assessed` names already has no chip of its own
 */
export function showWarnings(parent, warnings, verdict = null) {
  const named = verdict === "not_assessed" ? voidingOf(warnings) : undefined;
  for (const [slot, wanted] of /** @type {const} */ ([["warnings", "warn"], ["labels", "info"]])) {
    const chips = warnings.filter((warning) => warning !== named && warning.chip && warning.tone === wanted).map(chipOf);
    element(`[data-slot="${slot}"]`, HTMLElement, parent).replaceChildren(...chips);
  }
}

/** @param {Warning} warning */
function chipOf({ code, chip, message, tone }) {
  const label = document.createElement("span");
  label.className = "chip";
  label.dataset.tone = tone === "warn" ? "warn" : "label";
  label.dataset.warning = code;
  label.title = message;
  if (tone === "warn") label.append(iconOf("info", 14));
  const words = document.createElement("span");
  words.textContent = chip ?? "";
  label.append(words);
  return label;
}
