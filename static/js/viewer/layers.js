/* The pictures of one slice, made in the scan's own grid: mask, overlay, heatmap. The colors are those of ml/rendering. */
import { context2d } from "./canvas.js";
import { inferno } from "./colormap.js";

/** @type {[number, number, number]} */
const TUMOR = [0xff, 0x4d, 0x6a];

/* Canvas stores RGBA as bytes in memory order; one 32-bit write per pixel is four times faster than four writes. */
const isLittleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
/** @type {(r: number, g: number, b: number, a: number) => number} */
const rgba = (r, g, b, a) => (isLittleEndian ? (a << 24) | (b << 16) | (g << 8) | r : (r << 24) | (g << 16) | (b << 8) | a) >>> 0;
const infernoColors = Uint32Array.from({ length: 256 }, (_, i) => rgba(inferno[3 * i], inferno[3 * i + 1], inferno[3 * i + 2], 255));
const BLACK = rgba(0, 0, 0, 255);
const RED = rgba(...TUMOR, 255);

/**
 * The colors of 256 gray values.
 * @param {Uint8ClampedArray} shown what is shown for each
 */
export const grayColors = (shown) => Uint32Array.from(shown, (value) => rgba(value, value, value, 255));

export class Layer {
  /**
   * A picture whose `pixels` the functions below write, as 32-bit colors.
   * @param {number} width
   * @param {number} height
   */
  constructor(width, height) {
    this.canvas = document.createElement("canvas");
    Object.assign(this.canvas, { width, height });
    this.context = context2d(this.canvas);
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  show() {
    this.context.putImageData(this.image, 0, 0);
  }
}

/**
 * Red on black.
 * @param {Layer} layer
 * @param {Uint8Array} mask 1 where tumor
 */
export function paintMask(layer, mask) {
  for (let i = 0; i < mask.length; i++) layer.pixels[i] = mask[i] ? RED : BLACK;
  layer.show();
}

/**
 * Inferno.
 * @param {Layer} layer
 * @param {Uint8Array} probabilityU8 round(255 p)
 */
export function paintHeatmap(layer, probabilityU8) {
  for (let i = 0; i < probabilityU8.length; i++) layer.pixels[i] = infernoColors[probabilityU8[i]];
  layer.show();
}

/**
 * Transparent but for the tumor, which is red.
 * @param {Layer} layer
 * @param {Uint8Array} mask 1 where tumor
 * @param {number} opacity 0 to 1
 */
export function paintOverlay(layer, mask, opacity) {
  const inside = rgba(...TUMOR, Math.round(255 * opacity));
  for (let i = 0; i < mask.length; i++) layer.pixels[i] = mask[i] ? inside : 0;
  layer.show();
}

/** As ml/rendering/error_overlay.py draws them: missed, extra, correct. A test compares them. */
export const ERROR_COLORS = { standard: ["#ff4d6a", "#3fd69b", "#ffd24d"], "color-blind": ["#e67a00", "#3d8bff", "#f2f2f2"] };
const HATCH_PIXELS = 4;

/**
 * Transparent but for what the expert's mask and the model's have: missed, extra and correct in their colors.
 * @param {Layer} layer
 * @param {Uint8Array} mask 1 where the model's
 * @param {Uint8Array} truth not 0 where the expert's
 * @param {number} opacity 0 to 1
 * @param {boolean} isColorBlind hatched as well
 * @returns {Uint8Array[]} the masks of the three kinds, for their outlines
 */
export function paintErrors(layer, mask, truth, opacity, isColorBlind) {
  const kinds = [new Uint8Array(mask.length), new Uint8Array(mask.length), new Uint8Array(mask.length)];
  const colors = ERROR_COLORS[isColorBlind ? "color-blind" : "standard"].map((color) => {
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
    return { fill: rgba(r, g, b, Math.round(255 * opacity)), line: rgba(r, g, b, 255) };
  });
  const { width } = layer.canvas;
  for (let i = 0; i < mask.length; i++) {
    const kind = truth[i] ? (mask[i] ? 2 : 0) : mask[i] ? 1 : -1;
    if (kind < 0) {
      layer.pixels[i] = 0;
      continue;
    }
    kinds[kind][i] = 1;
    const column = i % width;
    const row = (i - column) / width;
    const isLine = isColorBlind && kind < 2 && (kind === 0 ? column + row : column - row) % HATCH_PIXELS === 0;
    layer.pixels[i] = isLine ? colors[kind].line : colors[kind].fill;
  }
  layer.show();
  return kinds;
}

/**
 * The border of a mask along its pixels' edges, in scan pixels. Edges in one line are one segment.
 * @param {Uint8Array} mask 1 where tumor, row by row
 * @param {number} width
 * @param {number} height
 */
export function outlineOf(mask, width, height) {
  const path = new Path2D();
  const first = mask.indexOf(1);
  if (first < 0) return path;
  const top = Math.floor(first / width);
  const bottom = Math.floor(mask.lastIndexOf(1) / width);
  let left = width;
  let right = -1;
  for (let y = top; y <= bottom; y++) {
    const row = y * width;
    for (let x = 0; x < left; x++) if (mask[row + x]) left = x;
    for (let x = width - 1; x > right; x--) if (mask[row + x]) right = x;
  }
  // Past the last row and column there is no tumor, so that the loops below end every segment.
  for (let y = top; y <= bottom + 1; y++) {
    const [above, row] = [(y - 1) * width, y * width];
    for (let x = left, start = -1; x <= right + 1; x++) {
      const isEdge = x <= right && (y > top ? mask[above + x] : 0) !== (y <= bottom ? mask[row + x] : 0);
      if (isEdge && start < 0) start = x;
      if (isEdge || start < 0) continue;
      path.moveTo(start, y);
      path.lineTo(x, y);
      start = -1;
    }
  }
  for (let x = left; x <= right + 1; x++) {
    for (let y = top, start = -1; y <= bottom + 1; y++) {
      const row = y * width;
      const isEdge = y <= bottom && (x > left ? mask[row + x - 1] : 0) !== (x <= right ? mask[row + x] : 0);
      if (isEdge && start < 0) start = y;
      if (isEdge || start < 0) continue;
      path.moveTo(x, start);
      path.lineTo(x, y);
      start = -1;
    }
  }
  return path;
}
