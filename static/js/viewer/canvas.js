/* What the viewers of scans and of cases share of drawing. */

/** A mask's tumor, as ml/rendering draws it. */
export const TUMOR_COLOR = "#ff4d6a";
/** What is in doubt, as ml/rendering draws it. */
export const DOUBT_COLOR = "#ffc457";
/** What reaches the threshold and is not counted, as ml/rendering draws it. */
export const UNCOUNTED_COLOR = "#5cc8ff";

/**
 * The 2-D context of a canvas. Throws where the browser has no memory left for it.
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
export function context2d(canvas, settings) {
  const context = canvas.getContext("2d", settings);
  if (!context) throw new Error("The browser cannot draw this picture; close other tabs and load the page again.");
  return context;
}
