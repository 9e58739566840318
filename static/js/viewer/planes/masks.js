/* What the mask rule makes of a whole volume at a threshold: slice by slice as in the stack, since the rule looks at slices.
   A preview is made in short turns, the slice in view first, so that a slider never waits for 180 slices. */
/** @import { DoubtRule } from "../mask.js" */
/** @import { Volume } from "./volume.js" */
import { doubtOf, thresholdLevel, tumorMask, uncountedOf } from "../mask.js";

const TURN_MS = 8;
export const TUMOR = 1;
export const DOUBT = 2;
export const UNCOUNTED = 3;

export class MaskVolume {
  /**
   * @param {Volume} volume
   * @param {{ stored: number, minPixels: number, doubtRule: DoubtRule | null, dropped: [row: number, column: number][][] }} rule
   *   stored: the run's threshold; dropped: by slice of the scan, at that threshold
   * @param {() => void} onChange after every turn
   */
  constructor(volume, { stored, minPixels, doubtRule, dropped }, onChange) {
    const { factors, shape } = volume.space;
    const area = factors[1] * factors[2];
    /** @type {(pixels: number) => number} */
    const scaled = (pixels) => (pixels ? Math.max(1, Math.round(pixels / area)) : 0);
    this.volume = volume;
    this.stored = stored;
    this.minPixels = scaled(minPixels);
    this.doubtRule = doubtRule && { threshold: doubtRule.threshold, minPixels: scaled(doubtRule.minPixels) };
    this.dropped = Array.from({ length: shape[0] }, (_, slice) => dropped
      .slice(slice * factors[0], (slice + 1) * factors[0]).flat()
      .map(([row, column]) => /** @type {[number, number]} */ ([Math.floor(row / factors[1]), Math.floor(column / factors[2])])));
    this.onChange = onChange;
    this.kinds = new Uint8Array(volume.space.voxels);
    this.highest = this.highestOfSlices();
    this.threshold = -1;
    this.version = 0; // of what `kinds` holds
    /** @type {number[]} slices that wait for their turn */
    this.open = [];
    this.timer = 0;
  }

  /** @param {number} slice */
  probability(slice) {
    const size = this.volume.space.strides[0];
    return this.volume.probabilityU8.subarray(slice * size, (slice + 1) * size);
  }

  highestOfSlices() {
    return Array.from({ length: this.volume.space.shape[0] }, (_, slice) => {
      let highest = 0;
      for (const value of this.probability(slice)) if (value > highest) highest = value;
      return highest;
    });
  }

  /**
   * Makes the masks of another threshold.
   * @param {number} threshold
   * @param {number} first slice
   */
  apply(threshold, first) {
    if (threshold === this.threshold) return;
    this.threshold = threshold;
    const near = (/** @type {number} */ slice) => Math.abs(slice - first);
    this.open = Array.from(this.highest.keys()).sort((a, b) => near(b) - near(a));
    this.turn();
  }

  turn() {
    clearTimeout(this.timer);
    const end = performance.now() + TURN_MS;
    for (let slice = this.open.pop(); slice !== undefined; slice = this.open.pop()) {
      this.mark(slice);
      if (performance.now() > end) break;
    }
    this.version += 1;
    if (this.open.length) this.timer = setTimeout(() => this.turn());
    this.onChange();
  }

  /** @param {number} slice */
  mark(slice) {
    const { shape, strides } = this.volume.space;
    const kinds = this.kinds.subarray(slice * strides[0], (slice + 1) * strides[0]);
    const lowest = thresholdLevel(Math.min(this.threshold, this.doubtRule?.threshold ?? 1));
    kinds.fill(0);
    if (this.highest[slice] < lowest) return;
    const [, height, width] = shape;
    const probabilityU8 = this.probability(slice);
    const dropped = this.threshold === this.stored ? this.dropped[slice] : [];
    const mask = tumorMask(probabilityU8, width, height, this.threshold, this.minPixels, dropped);
    const doubt = doubtOf(probabilityU8, width, height, mask, this.threshold, this.doubtRule).mask;
    const uncounted = uncountedOf(probabilityU8, mask, doubt, this.threshold);
    for (let i = 0; i < kinds.length; i++) kinds[i] = mask[i] ? TUMOR : doubt[i] ? DOUBT : uncounted[i] ? UNCOUNTED : 0;
  }

  /**
   * The voxel of the mask at the row and the column of a slice where it is largest; its middle without one.
   * @param {number} slice
   * @returns {[slice: number, row: number, column: number]}
   */
  largestAt(slice) {
    const { shape: [, height, width], strides } = this.volume.space;
    const rows = new Uint32Array(height);
    const columns = new Uint32Array(width);
    for (let i = 0; i < strides[0]; i++) {
      if (this.kinds[slice * strides[0] + i] !== TUMOR) continue;
      rows[Math.floor(i / width)] += 1;
      columns[i % width] += 1;
    }
    const most = (/** @type {Uint32Array} */ counts) => {
      const highest = counts.reduce((a, b) => Math.max(a, b));
      return highest ? counts.indexOf(highest) : Math.floor(counts.length / 2);
    };
    return [slice, most(rows), most(columns)];
  }
}
