/* Tumor pixels per slice at a threshold, over all maps that have arrived; long stacks are counted in short turns. */
/** @import { Stack } from "./stack.js" */
import { maskArea, tumorMask } from "./mask.js";

const TURN_MS = 8;

/** @typedef {{ pixels: number, slicesWithTumor: number, counted: number }} Sum over the slices counted so far */

export class Totals {
  /**
   * @param {Stack} stack
   * @param {{ width: number, height: number, minPixels: number, threshold: number, onChange: () => void }} options
   *   `onChange()` runs after every turn
   */
  constructor(stack, { width, height, minPixels, threshold, onChange }) {
    this.stack = stack;
    this.width = width;
    this.height = height;
    this.minPixels = minPixels;
    this.threshold = threshold;
    this.onChange = onChange;
    /** @type {(number | null)[]} by slice; null: not counted yet */
    this.areas = new Array(stack.count).fill(null);
    this.timer = 0;
  }

  /**
   * Sets the area of a slice whose mask the caller has made already.
   * @param {number} index
   * @param {number} area
   */
  put(index, area) {
    this.areas[index] = area;
  }

  /** Counts what can be counted, now and in later turns. */
  count() {
    clearTimeout(this.timer);
    const end = performance.now() + TURN_MS;
    for (const [index, area] of this.areas.entries()) {
      const probabilityU8 = this.stack.maps[index];
      if (area !== null || !probabilityU8) continue;
      this.areas[index] = maskArea(tumorMask(probabilityU8, this.width, this.height, this.threshold, this.minPixels));
      if (performance.now() < end) continue;
      this.timer = setTimeout(() => this.count());
      break;
    }
    this.onChange();
  }

  /** @returns {Sum} */
  sum() {
    const counted = this.areas.filter((area) => area !== null);
    return {
      pixels: counted.reduce((sum, area) => sum + area, 0),
      slicesWithTumor: counted.filter((area) => area > 0).length,
      counted: counted.length,
    };
  }
}
