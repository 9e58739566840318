/* What a drag on a picture does: it pans, sets window and level, or measures. */
/** @import { Display } from "./display.js" */
/** @import { Measures, Point } from "./measures.js" */
import { element, elements } from "../core/elements.js";

/** @typedef {"pan" | "window" | "ruler" | "area"} Tool */
/** @typedef {{ begin: (point: Point) => void, drag: (point: Point, dx: number, dy: number) => void, finish: () => void }} Hand */

export class Tools {
  /**
   * @param {HTMLElement} root
   * @param {Display} display
   * @param {Measures} measures
   * @param {() => number} slice that is in view
   */
  constructor(root, display, measures, slice) {
    this.root = root;
    /** @type {Tool} */
    this.tool = "pan";
    this.buttons = elements("[data-tool]", HTMLButtonElement, element("#tools", HTMLElement, root));
    for (const button of this.buttons) button.addEventListener("click", () => this.choose(/** @type {Tool} */ (button.dataset.tool)));
    /** @type {Record<Tool, Hand | null>} null: the viewport pans */
    this.hands = {
      pan: null,
      window: { begin: () => {}, drag: (_, dx, dy) => display.moveWindow(-dy, dx), finish: () => {} },
      ruler: { begin: (point) => measures.begin("ruler", slice(), point), drag: (point) => measures.extend(point), finish: () => measures.finish() },
      area: { begin: (point) => measures.begin("area", slice(), point), drag: (point) => measures.extend(point), finish: () => measures.finish() },
    };
  }

  get hand() {
    return this.hands[this.tool];
  }

  /** @param {Tool} tool chosen again, it gives way to panning */
  choose(tool) {
    this.tool = tool === this.tool ? "pan" : tool;
    this.root.dataset.tool = this.tool;
    for (const button of this.buttons) button.setAttribute("aria-pressed", `${button.dataset.tool === this.tool}`);
  }
}
