/* The viewer's buttons, sliders and keys, and what paper shows of it. */
/** @import { Viewer } from "./viewer.js" */
import { element, targetOf } from "../core/elements.js";
import { followKeys } from "./keys.js";

const button = (/** @type {string} */ selector) => element(selector, HTMLButtonElement);
const slider = (/** @type {string} */ selector) => element(selector, HTMLInputElement);

/** @param {Viewer} viewer */
export function followControls(viewer) {
  const [threshold, opacity] = [slider("#threshold"), slider("#opacity")];
  followKeys(viewer);
  threshold.addEventListener("input", () => viewer.setThreshold(Number(threshold.value)));
  opacity.addEventListener("input", () => viewer.setOpacity(Number(opacity.value) / 100));
  button("#toggle-mask").addEventListener("click", () => viewer.toggleMask());
  button("#toggle-fill").addEventListener("click", () => viewer.setFill(!viewer.isFilled));
  button("#full-screen").addEventListener("click", () => viewer.toggleFullScreen());
  const outline = element("#outline-width", HTMLSelectElement);
  outline.addEventListener("change", () => viewer.setOutline(Number(outline.value)));
  button("#drop-preview").addEventListener("click", () => viewer.setThreshold(viewer.stored));
  viewer.root.addEventListener("click", (event) => {
    const { zoom, show } = targetOf(event)?.closest("button")?.dataset ?? {};
    if (zoom) viewer.zoom(zoom);
    if (show) viewer.show(show);
  });
  window.addEventListener("beforeprint", () => viewer.beforePrint());
  window.addEventListener("afterprint", () => viewer.afterPrint());
}
