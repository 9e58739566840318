// @ts-check
// Two dates of a patient side by side: the slider of the left one takes the right one along.

const section = /** @type {HTMLElement} */ (document.getElementById("pair"));
const slider = /** @type {HTMLInputElement} */ (document.getElementById("pair-slice"));
const beside = /** @type {HTMLInputElement} */ (document.getElementById("pair-beside"));
/** @type {(number | null)[]} */
const seconds = JSON.parse(section.dataset.seconds ?? "[]");
const sides = /** @type {NodeListOf<HTMLElement>} */ (section.querySelectorAll("[data-side]"));

/**
 * @param {HTMLElement} side
 * @param {number | null} index of the slice; null: there is none
 */
function show(side, index) {
  const picture = /** @type {SVGImageElement} */ (side.querySelector("image"));
  const words = /** @type {HTMLElement} */ (side.querySelector("[data-slice-words]"));
  words.textContent = index === null ? "no slice here" : `slice ${index + 1} of ${side.dataset.slices}`;
  if (index === null) picture.removeAttribute("href");
  else picture.setAttribute("href", `${side.dataset.address}&slice=${index}`);
}

slider.addEventListener("input", () => {
  const index = Number(slider.value);
  show(sides[0], index);
  const matched = seconds[index] ?? null;
  show(sides[1], matched);
  if (matched !== null) beside.value = String(matched);
});
// Nothing is registered, so that a person may know better.
beside.addEventListener("input", () => show(sides[1], Number(beside.value)));
for (const select of section.querySelectorAll("select")) {
  select.addEventListener("change", () => /** @type {HTMLFormElement} */ (select.form).submit());
}
