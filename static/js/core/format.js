/* Figures and places in line as words, as templates/macros/chips.html writes them. */
/** @import { Scan } from "./types.js" */

const NBSP = "\u00a0";

/** @param {number} value */
export const count = (value) => value.toLocaleString("en-US");

/**
 * @param {number} value in percent
 * @param {number} [digits] after the point
 */
export function percent(value, digits = 2) {
  if (value > 0 && value < 0.005) return `<${NBSP}0.01${NBSP}%`;
  return `${value.toFixed(digits)}${NBSP}%`;
}

/**
 * A threshold with two digits, or with all that it has, as webapp/schemas/labels.py writes it.
 * @param {number} value
 */
export function threshold(value) {
  const [whole, digits = ""] = value.toFixed(15).replace(/\.?0+$/, "").split(".");
  return `${whole}.${digits.padEnd(2, "0")}`;
}

/** @param {number} bytes */
export function fileSize(bytes) {
  if (bytes < 1000) return `${bytes}${NBSP}B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)}${NBSP}kB`;
  return `${(bytes / 1e6).toFixed(1)}${NBSP}MB`;
}

/**
 * Area in mm², from 100 mm² on in cm².
 * @param {number} mm2
 */
export const area = (mm2) => (mm2 < 100 ? `${mm2.toFixed(1)}${NBSP}mm²` : `${(mm2 / 100).toFixed(2)}${NBSP}cm²`);

/**
 * Volume in mm³, from 100 mm³ on in mL (1 mL = 1000 mm³).
 * @param {number} mm3
 */
export const volume = (mm3) => (mm3 < 100 ? `${mm3.toFixed(1)}${NBSP}mm³` : `${(mm3 / 1000).toFixed(2)}${NBSP}mL`);

/**
 * A time that is left, no more exact than it is known, as webapp/schemas/labels.py writes it.
 * @param {number} seconds
 */
export function timeLeft(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

const ORDINALS = ["", "First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth"];

/** @param {number | null} position from 1 */
export function placeInLine(position) {
  if (!position) return "In line";
  return position < ORDINALS.length ? `${ORDINALS[position]} in line` : `Number ${position} in line`;
}

/**
 * What was seen and is not counted, as the macro uncounted_words says it.
 * @param {number} pixels
 * @param {number} minPixels
 * @param {number} above the threshold
 * @param {boolean} [hasDropped] whether the rule for stacks took something out
 */
export function uncountedWords(pixels, minPixels, above, hasDropped = false) {
  const small = minPixels > 1 ? `in areas smaller than the smallest that counts, ${count(minPixels)}${NBSP}px` : "";
  const minor = hasDropped ? "small beside the largest area of the stack" : "";
  return `${count(pixels)}${NBSP}px above ${threshold(above)} not counted: ${[small, minor].filter(Boolean).join(", or ")}`;
}

/**
 * One short line under a scan's chip, where its run has succeeded.
 * @param {Scan} scan
 */
function findingOf(scan) {
  const run = scan.segmentation;
  const uncounted = run.uncounted_pixels ?? 0;
  if (run.verdict === "no_tumor" && uncounted) {
    return uncountedWords(uncounted, run.min_tumor_pixels ?? 0, run.threshold, run.slices.some(({ dropped }) => dropped.length));
  }
  return `${countedOf(scan)}${uncounted ? `; ${count(uncounted)}${NBSP}px not counted` : ""}`;
}

/**
 * The same, of what is counted or in doubt.
 * @param {Scan} scan
 */
function countedOf({ slice_count: slices, segmentation: run }) {
  switch (run.verdict) {
    case "tumor_detected": return `${percent(run.coverage_percent ?? 0)} of the ${slices > 1 ? "stack" : "image"}`;
    case "uncertain": return `${count(run.doubt?.pixels ?? 0)} px with up to ${percent(100 * (run.doubt?.max_probability ?? 0), 0)} are in doubt`;
    case "not_assessed": return "The model cannot read such a scan";
    default: return "No tumor area above the threshold";
  }
}

/**
 * How far the model is in a stack.
 * @param {Scan} scan
 */
export const slicesDone = ({ slice_count: slices, segmentation: run }) => `${count(run.slices_done ?? 0)} of ${count(slices)} slices read`;

/**
 * One short line under a scan's chip.
 * @param {Scan} scan
 */
export function detailOf(scan) {
  const run = scan.segmentation;
  switch (run.status) {
    case "succeeded":
      return findingOf(scan);
    case "queued": return placeInLine(run.queue_position);
    case "running": return run.slices_done ? slicesDone(scan) : "The model is reading it";
    case "failed": return run.error?.message ?? "The model could not finish.";
    default: return "Stopped before it finished";
  }
}
