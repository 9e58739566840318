/* Tumor pixels per slice at a threshold, over all maps that are here; long stacks are counted in short turns. */
import { maskArea, tumorMask } from "./mask.js";

const TURN_MS = 8;

export class Totals {
  /** `onChange()` runs after every turn. */
  constructor(stack, { width, height, minPixels, threshold, onChange }) {
    Object.assign(this, { stack, width, height, minPixels, threshold, onChange });
    this.areas = new Array(stack.count).fill(null); // null: not counted yet
    this.timer = 0;
  }

  /** Sets the area of a slice whose mask the caller has made already. */
  put(index, area) {
    this.areas[index] = area;
  }

  /** Counts what can be counted, now and in later turns. */
  count() {
    clearTimeout(this.timer);
    const end = performance.now() + TURN_MS;
    const open = this.areas.findIndex((area, index) => area === null && this.stack.maps[index]);
    for (let index = open; index >= 0 && index < this.areas.length; index++) {
      const q = this.stack.maps[index];
      if (this.areas[index] !== null || !q) continue;
      this.areas[index] = maskArea(tumorMask(q, this.width, this.height, this.threshold, this.minPixels));
      if (performance.now() < end) continue;
      this.timer = setTimeout(() => this.count());
      break;
    }
    this.onChange();
  }

  /** {pixels, slicesWithTumor, counted}: over the slices counted so far. */
  sum() {
    const counted = this.areas.filter((area) => area !== null);
    return {
      pixels: counted.reduce((sum, area) => sum + area, 0),
      slicesWithTumor: counted.filter((area) => area > 0).length,
      counted: counted.length,
    };
  }
}
