/* The colors of error overlays: the standard ones, or orange, blue and hatching for color-blind readers. The choice stays
   in this browser. The server draws both (ml/rendering/error_overlay.py). */
import { elements, targetOf } from "./elements.js";
import { keep, readKept } from "./storage.js";

const KEY = "palette";
const COLOR_BLIND = "color-blind";
const root = document.documentElement;

/** @param {boolean} isColorBlind */
function apply(isColorBlind) {
  root.dataset.palette = isColorBlind ? COLOR_BLIND : "standard";
  for (const button of elements("[data-palette-switch]", HTMLElement)) button.setAttribute("aria-pressed", `${isColorBlind}`);
  for (const image of elements('img[src*="/errors.png"]', HTMLImageElement)) {
    const address = new URL(image.src);
    if (isColorBlind) address.searchParams.set("palette", COLOR_BLIND);
    else address.searchParams.delete("palette");
    if (address.href !== image.src) image.src = address.href;
  }
  document.dispatchEvent(new Event("palette"));
}

export const isColorBlind = () => root.dataset.palette === COLOR_BLIND;

/** Follows the switches beside the legends. `palette` is sent to the document after each change. */
export function followPalette() {
  if (readKept("localStorage", KEY) === COLOR_BLIND) apply(true);
  document.addEventListener("click", (event) => {
    if (!targetOf(event)?.closest("[data-palette-switch]")) return;
    apply(!isColorBlind());
    keep("localStorage", KEY, root.dataset.palette ?? "");
  });
}
