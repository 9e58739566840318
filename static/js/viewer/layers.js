/* The pictures of one slice, made in the scan's own grid: mask, overlay, heatmap. The colors are ml/rendering.py's. */
import { inferno } from "./colormap.js";

const TUMOR = [0xff, 0x4d, 0x6a];

/* Canvas stores RGBA as bytes in memory order; one 32-bit write per pixel is four times faster than four writes. */
const isLittleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
const rgba = (r, g, b, a) => (isLittleEndian ? (a << 24) | (b << 16) | (g << 8) | r : (r << 24) | (g << 16) | (b << 8) | a) >>> 0;
const infernoColors = Uint32Array.from({ length: 256 }, (_, q) => rgba(inferno[3 * q], inferno[3 * q + 1], inferno[3 * q + 2], 255));
const BLACK = rgba(0, 0, 0, 255);
const RED = rgba(...TUMOR, 255);

export class Layer {
  /** A picture of width x height whose pixels `paint` writes, as 32-bit colors. */
  constructor(width, height) {
    this.canvas = document.createElement("canvas");
    Object.assign(this.canvas, { width, height });
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  show() {
    this.context.putImageData(this.image, 0, 0);
  }
}

/** Red on black. mask: 1 where tumor. */
export function paintMask(layer, mask) {
  for (let i = 0; i < mask.length; i++) layer.pixels[i] = mask[i] ? RED : BLACK;
  layer.show();
}

/** Inferno. q: round(255 p). */
export function paintHeatmap(layer, q) {
  for (let i = 0; i < q.length; i++) layer.pixels[i] = infernoColors[q[i]];
  layer.show();
}

/** Transparent but for the tumor: red at `opacity` (0..1) inside, full red on the outline, so its border always shows. */
export function paintOverlay(layer, mask, width, height, opacity) {
  const inside = rgba(...TUMOR, Math.round(255 * opacity));
  layer.pixels.fill(0);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!mask[i]) continue;
      const isCore = x > 0 && y > 0 && x < width - 1 && y < height - 1
        && mask[i - 1] && mask[i + 1] && mask[i - width] && mask[i + width];
      layer.pixels[i] = isCore ? inside : RED;
    }
  }
  layer.show();
}
