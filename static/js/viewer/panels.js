/* The four panels: canvases over the server's pictures, drawn from the same layers through the same viewport. */
/** @import { Viewport } from "./viewport.js" */
import { element, elements } from "../core/elements.js";
import { context2d } from "./canvas.js";

/* Above this many device pixels per scan pixel the pixels themselves are shown, because then a smoothed border would
   pretend to a precision that the mask does not have. */
const SHOW_PIXELS_FROM = 3;
const LABEL_CSS_PX = 13;
const MEASURE_COLOR = "#5cc8ff";
const DIVIDER_COLOR = "#fff";
const DASH_CSS_PX = 4;

/** @typedef {{ path: Path2D, color: string, isDashed: boolean }} Outline */
/** @import { Drawn } from "./measures.js" */
/** @typedef {HTMLCanvasElement | Outline} Drawable */

export class Panels {
  /**
   * @param {HTMLElement} root
   * @param {Viewport} viewport
   */
  constructor(root, viewport) {
    this.root = root;
    this.viewport = viewport;
    /** @type {Map<string, HTMLCanvasElement>} by layer */
    this.canvases = new Map();
    /** @type {Map<string, string>} in words, by layer */
    this.titles = new Map();
    for (const panel of elements(".panel", HTMLElement, root)) {
      const canvas = element("canvas", HTMLCanvasElement, panel);
      this.canvases.set(panel.dataset.layer ?? "", canvas);
      this.titles.set(panel.dataset.layer ?? "", canvas.getAttribute("aria-label") ?? "");
    }
    /** @type {Record<string, Drawable[]>} by layer, bottom first */
    this.sources = {};
    /** @type {Drawn[]} over the large one */
    this.measures = [];
    this.outlinePx = 1.5; // CSS pixels
    /** @type {{ at: number, right: Drawable[] } | null} another picture over the large overlay, from `at` (0 to 1 of its width) on */
    this.swipe = null;
    this.frame = 0;
    /** @type {{ draw: () => void } | null} what is drawn with them, by the same look */
    this.companion = null;
    const resize = new ResizeObserver(() => this.draw());
    for (const canvas of this.canvases.values()) resize.observe(canvas);
  }

  /** The layer that is seen large. */
  get large() {
    return this.root.dataset.large ?? "overlay";
  }

  /** Draws at the next frame. */
  draw() {
    this.companion?.draw();
    this.frame ||= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    for (const [layer, canvas] of this.canvases) this.drawOne(canvas, this.sources[layer] ?? [], layer === "overlay" ? this.swipe : null);
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Drawable[]} drawables
   * @param {{ at: number, right: Drawable[] } | null} swipe
   */
  drawOne(canvas, drawables, swipe) {
    const { clientWidth, clientHeight } = canvas;
    if (!clientWidth || !drawables.length) return;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(clientWidth * ratio);
    const height = Math.round(clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = context2d(canvas);
    const { viewport } = this;
    const scale = viewport.scale(width, height);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    context.setTransform(scale, 0, 0, scale, width / 2 - viewport.centerX * scale, height / 2 - viewport.centerY * scale);
    const options = { width: viewport.width, height: viewport.height, pixel: scale, unit: ratio / scale, outlinePx: this.outlinePx };
    drawAll(context, drawables, options);
    const isLarge = canvas.closest(".large") !== null;
    if (swipe && isLarge) drawFrom(context, swipe.at * width, swipe.right, options);
    if (isLarge) drawMeasures(context, ratio / scale, this.measures);
  }
}

/**
 * @param {CanvasRenderingContext2D} context in units of the scan: pixels, or mm
 * @param {Drawable[]} drawables bottom first
 * @param {{ width: number, height: number, pixel: number, unit: number, outlinePx: number }} options
 *   width, height: of the pictures, in units; pixel: device pixels per pixel of theirs; unit: units per CSS pixel; outlinePx: CSS pixels
 */
export function drawAll(context, drawables, { width, height, pixel, unit, outlinePx }) {
  context.imageSmoothingEnabled = pixel < SHOW_PIXELS_FROM;
  context.imageSmoothingQuality = pixel < 0.5 ? "medium" : "low"; // better ones cost a third of a frame, and enlarge alike
  for (const drawable of drawables) {
    if (!("path" in drawable)) {
      context.drawImage(drawable, 0, 0, width, height);
      continue;
    }
    // An outline is as wide on a large scan, which is shrunk, as on a small one.
    context.lineWidth = outlinePx * unit;
    context.lineCap = drawable.isDashed ? "butt" : "square";
    context.setLineDash(drawable.isDashed ? [DASH_CSS_PX * unit] : []);
    context.strokeStyle = drawable.color;
    context.stroke(drawable.path);
  }
}

/**
 * Draws over what is right of a line, and the line.
 * @param {CanvasRenderingContext2D} context in units of the scan
 * @param {number} x of the line, device pixels
 * @param {Drawable[]} drawables bottom first
 * @param {Parameters<typeof drawAll>[2]} options
 */
function drawFrom(context, x, drawables, options) {
  const units = context.getTransform();
  const { width, height } = context.canvas;
  context.save();
  context.resetTransform();
  context.beginPath();
  context.rect(x, 0, width - x, height);
  context.clip();
  context.fillStyle = "#000";
  context.fillRect(x, 0, width - x, height);
  context.setTransform(units);
  drawAll(context, drawables, options);
  context.resetTransform();
  context.fillStyle = DIVIDER_COLOR;
  context.fillRect(x - 1, 0, 2, height);
  context.restore();
}

/**
 * @param {CanvasRenderingContext2D} context in units of the scan
 * @param {number} unit units per CSS pixel
 * @param {Drawn[]} measures
 */
export function drawMeasures(context, unit, measures) {
  context.setLineDash([]);
  context.lineCap = "round";
  context.font = `600 ${LABEL_CSS_PX * unit}px system-ui, sans-serif`;
  for (const { path, label, at } of measures) {
    for (const [width, color] of /** @type {const} */ ([[4, "rgb(0 0 0 / 70%)"], [1.5, MEASURE_COLOR]])) {
      context.lineWidth = width * unit;
      context.strokeStyle = color;
      context.stroke(path);
    }
    const [x, y] = [at.x + 8 * unit, at.y - 8 * unit];
    context.lineWidth = 3 * unit;
    context.strokeStyle = "#000";
    context.strokeText(label, x, y);
    context.fillStyle = "#fff";
    context.fillText(label, x, y);
  }
}
