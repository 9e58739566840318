/* File names whose middle gives way, as templates/macros/names.html writes them. */

const TAIL_LETTERS = 12;

/** Writes a file name into an element that holds the macro's spans. */
export function showName(element, name) {
  const letters = Array.from(name); // by code points: half of a surrogate pair is no letter
  const part = (slot, text) => { element.querySelector(`[data-slot="${slot}"]`).textContent = text; };
  part("name-whole", name);
  part("name-head", letters.slice(0, -TAIL_LETTERS).join(""));
  part("name-tail", letters.slice(-TAIL_LETTERS).join(""));
  element.title = name;
}
