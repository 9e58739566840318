/* File names that are shortened in the middle, as templates/macros/names.html writes them. */
import { element } from "./elements.js";

const TAIL_LETTERS = 12;

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
