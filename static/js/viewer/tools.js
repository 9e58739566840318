/* What a drag on a picture does: it pans, sets window and level, or measures. */
/** @import { Display } from "./display.js" */
/** @import { Measures, Place, Point } from "./measures.js" */
import { element, elements } from "../core/elements.js";

/** @typedef {"pan" | "cross" | "window" | "ruler" | "area"} Tool */
/** @typedef {{ begin: (point: Point) => void, drag: (point: Point, dx: number, dy: number) => void, finish: () => void }} Hand */

export class Tools {
  /**
   * @param {HTMLElement} root
   * @param {Display} display
   * @param {Measures} measures
   * @param {() => Place} place that is in view
   */
  constructor(root, display, measures, place) {
    this.root = root;
    /** @type {Tool} */
    this.tool = "pan";
    /** @type {Tool} what a tool that is chosen again gives way to */
    this.rest = "pan";
    this.buttons = elements("[data-tool]", HTMLButtonElement, element("#tools", HTMLElement, root));
    for (const button of this.buttons) button.addEventListener("click", () => this.choose(/** @type {Tool} */ (button.dataset.tool)));
    /** @type {Record<Tool, Hand | null>} null: the viewport pans, or the planes move their crosshair */
    this.hands = {
      pan: null,
      cross: null,
      window: { begin: () => {}, drag: (_, dx, dy) => display.moveWindow(-dy, dx), finish: () => {} },
      ruler: { begin: (point) => measures.begin("ruler", place(), point), drag: (point) => measures.extend(point), finish: () => measures.finish() },
      area: { begin: (point) => measures.begin("area", place(), point), drag: (point) => measures.extend(point), finish: () => measures.finish() },
    };
  }

  get hand() {
    return this.hands[this.tool];
  }

  /** @param {Tool} tool chosen again, it gives way to `rest` */
  choose(tool) {
    this.tool = tool === this.tool ? this.rest : tool;
    this.root.dataset.tool = this.tool;
    for (const button of this.buttons) button.setAttribute("aria-pressed", `${button.dataset.tool === this.tool}`);
  }
}
