/* What lies under the cursor: its position, gray value and probability, as stored, whatever the window shows. */
/** @import { Display } from "./display.js" */
/** @import { Point } from "./measures.js" */
import { element } from "../core/elements.js";

export class Readout {
  /**
   * @param {Display} display
   * @param {number} width of the scan
   * @param {number} height
   */
  constructor(display, width, height) {
    this.display = display;
    this.width = width;
    this.height = height;
    this.words = element("#readout", HTMLElement);
    this.hint = this.words.textContent;
    /** @type {Point | null} */
    this.point = null;
  }

  /**
   * @param {Point | null} point null: the cursor has left the picture
   * @param {{ rgba: Uint8ClampedArray, probabilityU8: Uint8Array } | null} shown
   */
  show(point, shown) {
    this.point = point;
    const [x, y] = point ? [Math.floor(point.x), Math.floor(point.y)] : [-1, -1];
    if (!shown || x < 0 || y < 0 || x >= this.width || y >= this.height) {
      this.words.textContent = point ? "" : this.hint;
      return;
    }
    const at = y * this.width + x;
    const { channel, channelName } = this.display;
    const gray = channel < 0 ? `color ${Array.from(shown.rgba.subarray(4 * at, 4 * at + 3)).join(" ")}` : `${channelName} ${shown.rgba[4 * at + channel]}`;
    this.words.textContent = `x ${x}  y ${y}  ${gray}  p ${(shown.probabilityU8[at] / 255).toFixed(3)}`;
  }
}
