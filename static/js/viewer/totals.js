/* Tumor and doubt per slice at a threshold, over all maps that have arrived; long stacks are counted in short turns. */
/** @import { Doubt as Region } from "../core/types.js" */
/** @import { Doubt, DoubtRule, Overlap } from "./mask.js" */
/** @import { Stack } from "./stack.js" */
import { doubtOf, maskArea, overlapOf, sumInside, tumorMask, uncountedOf } from "./mask.js";

const TURN_MS = 8;

/** @typedef {{ pixels: number, slicesWithTumor: number, counted: number, doubt: Region | null, uncounted: number, doubtful: number, levels: number,
   overlap: Overlap | null }} Sum over the slices counted so far; uncounted, doubtful: pixels; levels: the map's values inside the
   mask; overlap: with the expert's masks, null until all of them are compared, and without any */

export class Totals {
  /**
   * @param {Stack} stack
   * @param {{ width: number, height: number, minPixels: number, doubtRule: DoubtRule | null, threshold: number, onChange: () => void }} options
   *   `onChange()` runs after every turn
   */
  constructor(stack, { width, height, minPixels, doubtRule, threshold, onChange }) {
    this.stack = stack;
    this.width = width;
    this.height = height;
    this.minPixels = minPixels;
    this.doubtRule = doubtRule;
    this.threshold = threshold;
    this.onChange = onChange;
    /** @type {(number | null)[]} by slice; null: not counted yet */
    this.areas = new Array(stack.count).fill(null);
    /** @type {(Doubt | null)[]} by slice, of those that are counted here */
    this.doubts = new Array(stack.count).fill(null);
    /** pixels by slice, of those that are counted here */
    this.uncounted = new Array(stack.count).fill(0);
    /** sum of the map inside the mask by slice, of those that are counted here */
    this.levels = new Array(stack.count).fill(0);
    /** @type {(Overlap | null)[]} by slice; null: not compared yet, or with nothing */
    this.overlaps = new Array(stack.count).fill(null);
    this.timer = 0;
    this.isStored = false;
  }

  /**
   * Begins at another threshold.
   * @param {number} threshold
   * @param {(number | null)[] | null} stored areas by slice, which stay as they are: the rule for stacks dropped parts, which a
   *   count of a slice alone would bring back; null: every slice is to be counted
   */
  begin(threshold, stored) {
    this.threshold = threshold;
    this.isStored = stored !== null;
    this.areas = stored ? [...stored] : new Array(this.stack.count).fill(null);
    this.overlaps.fill(null);
  }

  /**
   * Sets what the caller has counted already of a slice.
   * @param {number} index
   * @param {number} area
   * @param {Doubt} doubt
   * @param {number} uncounted pixels
   * @param {number} levels
   * @param {Overlap | null} overlap
   */
  put(index, area, doubt, uncounted, levels, overlap) {
    this.overlaps[index] = overlap;
    this.levels[index] = levels;
    this.areas[index] = area;
    this.doubts[index] = doubt;
    this.uncounted[index] = uncounted;
  }

  /** Counts what can be counted, now and in later turns; nothing of what is stored. */
  count() {
    clearTimeout(this.timer);
    const end = performance.now() + TURN_MS;
    for (const [index, area] of this.areas.entries()) {
      const probabilityU8 = this.stack.maps[index];
      const expert = this.stack.experts[index];
      if (this.isStored || !probabilityU8 || (area !== null && !(expert && !this.overlaps[index]))) continue;
      const mask = tumorMask(probabilityU8, this.width, this.height, this.threshold, this.minPixels);
      const doubt = doubtOf(probabilityU8, this.width, this.height, mask, this.threshold, this.doubtRule);
      const uncounted = maskArea(uncountedOf(probabilityU8, mask, doubt.mask, this.threshold));
      this.put(index, maskArea(mask), doubt, uncounted, sumInside(probabilityU8, mask), overlapOf(mask, expert));
      if (performance.now() < end) continue;
      this.timer = setTimeout(() => this.count());
      break;
    }
    this.onChange();
  }

  /** @returns {Sum} */
  sum() {
    const counted = this.areas.filter((area) => area !== null);
    /** @type {(parts: number[]) => number} */
    const sumOf = (parts) => parts.reduce((sum, part, index) => sum + (this.areas[index] === null ? 0 : part), 0);
    return {
      pixels: counted.reduce((sum, area) => sum + area, 0),
      slicesWithTumor: counted.filter((area) => area > 0).length,
      counted: counted.length,
      doubt: this.doubt(),
      uncounted: sumOf(this.uncounted),
      levels: sumOf(this.levels),
      doubtful: sumOf(this.doubts.map((doubt) => doubt?.area ?? 0)),
      overlap: this.overlap(),
    };
  }

  /** Of all slices that have an expert's mask, their pixels counted together. */
  overlap() {
    if (!this.stack.truthSlices.size) return null;
    const sum = { model: 0, expert: 0, both: 0 };
    for (const index of this.stack.truthSlices) {
      const overlap = this.areas[index] === null ? null : this.overlaps[index];
      if (!overlap) return null;
      sum.model += overlap.model;
      sum.expert += overlap.expert;
      sum.both += overlap.both;
    }
    return sum;
  }

  /** The region in doubt with the highest probability, the largest of equal ones. */
  doubt() {
    const doubtful = this.doubts.flatMap((doubt, slice) => (doubt?.regions && this.areas[slice] !== null ? [{ slice, ...doubt }] : []));
    if (!doubtful.length) return null;
    const [{ slice, pixels, maxLevel }] = doubtful.sort((a, b) => b.maxLevel - a.maxLevel || b.pixels - a.pixels);
    return { slice, pixels, max_probability: maxLevel / 255, regions: doubtful.reduce((sum, { regions }) => sum + regions, 0) };
  }
}
