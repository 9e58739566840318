/* One plane: its picture is cut from the volume, and drawn in mm, so that its aspect is true whatever the voxels are. */
/** @import { Drawn } from "../measures.js" */
/** @import { Drawable } from "../panels.js" */
/** @import { Axis, Space, Voxel } from "./space.js" */
/** @import { Volume } from "./volume.js" */
import { element } from "../../core/elements.js";
import { DOUBT_COLOR, TUMOR_COLOR, UNCOUNTED_COLOR, context2d } from "../canvas.js";
import { ERROR_COLORS, Layer, outlineOf, paintErrors, paintHeatmap, paintMask, paintOverlay } from "../layers.js";
import { drawAll, drawMeasures } from "../panels.js";
import { STEP, Viewport } from "../viewport.js";
import { DOUBT, TUMOR, UNCOUNTED } from "./masks.js";
import { AXES } from "./space.js";

const CROSS_COLOR = "#5cc8ff";
const GAP_CSS_PX = 10; // of the crosshair, around its middle
const OUTLINES = /** @type {const} */ ([[TUMOR, TUMOR_COLOR, false], [DOUBT, DOUBT_COLOR, true], [UNCOUNTED, UNCOUNTED_COLOR, true]]);

/** @typedef {{ layer: string, hasMask: boolean, fill: number, isColorBlind: boolean, colors: Uint32Array, key: string }} Look
   how a picture is to be seen; fill: opacity of the mask; colors: of gray values; key: equal for equal ones */

export class Plane {
  /**
   * @param {HTMLElement} figure
   * @param {Space} space
   * @param {() => void} onZoom
   */
  constructor(figure, space, onZoom) {
    this.figure = figure;
    this.axis = /** @type {Axis} */ (figure.dataset.axis);
    this.axes = AXES[this.axis];
    this.space = space;
    const { through, down, across } = this.axes;
    this.count = space.shape[through];
    this.rows = space.shape[down];
    this.columns = space.shape[across];
    this.tall = space.spacing[down];
    this.wide = space.spacing[across];
    this.index = 0;
    this.canvas = element("canvas", HTMLCanvasElement, figure);
    this.slider = element("input", HTMLInputElement, figure);
    this.value = element("output", HTMLElement, figure);
    this.viewport = new Viewport(this.columns * this.wide, this.rows * this.tall, onZoom);
    this.picture = new Layer(this.columns, this.rows);
    this.over = new Layer(this.columns, this.rows);
    this.bytes = new Uint8Array(this.columns * this.rows);
    this.kinds = new Uint8Array(this.bytes.length);
    /** @type {Drawable[]} bottom first; paths in mm */
    this.drawables = [];
    this.painted = ""; // what the layers hold
  }

  /** A key of the plane in view, for what was measured on it. */
  get key() {
    return `${this.axis} ${this.index}`;
  }

  /**
   * The voxel at a point of the plane.
   * @param {{ x: number, y: number }} point mm
   * @returns {Voxel | null} null: outside
   */
  voxelAt({ x, y }) {
    const column = Math.floor(x / this.wide);
    const row = Math.floor(y / this.tall);
    if (column < 0 || row < 0 || column >= this.columns || row >= this.rows) return null;
    /** @type {Voxel} */
    const voxel = [0, 0, 0];
    voxel[this.axes.through] = this.index;
    voxel[this.axes.across] = column;
    voxel[this.axes.down] = this.axes.isUpsideDown ? this.rows - 1 - row : row;
    return voxel;
  }

  /**
   * The point of the plane at a voxel's middle, in mm.
   * @param {Voxel} voxel
   */
  pointOf(voxel) {
    const down = voxel[this.axes.down];
    return { x: (voxel[this.axes.across] + 0.5) * this.wide, y: ((this.axes.isUpsideDown ? this.rows - 1 - down : down) + 0.5) * this.tall };
  }

  /** @param {number} index */
  show(index) {
    this.index = index;
    this.slider.value = `${index}`;
    this.value.textContent = `${index + 1} of ${this.count}`;
    this.slider.setAttribute("aria-valuetext", this.value.textContent);
  }

  /**
   * @param {string} way in, out or fit
   * @param {Voxel} voxel that stays in its place
   */
  zoom(way, voxel) {
    const { viewport, canvas: { clientWidth: panelWidth, clientHeight: panelHeight } } = this;
    const { x, y } = this.pointOf(voxel);
    const scale = viewport.scale(panelWidth, panelHeight);
    if (way === "fit") viewport.reset();
    else if (scale) viewport.zoomBy(way === "in" ? STEP : 1 / STEP, { panelWidth, panelHeight, offsetX: (x - viewport.centerX) * scale, offsetY: (y - viewport.centerY) * scale });
  }

  /**
   * The values of this plane, as rows of its picture.
   * @param {Uint8Array} values of the volume
   * @param {Uint8Array} into
   */
  cut(values, into) {
    const { strides } = this.space;
    const { through, down, across, isUpsideDown } = this.axes;
    const [step, start] = [strides[across], this.index * strides[through]];
    for (let row = 0, to = 0; row < this.rows; row++) {
      let from = start + (isUpsideDown ? this.rows - 1 - row : row) * strides[down];
      for (let column = 0; column < this.columns; column++, from += step) into[to++] = values[from];
    }
    return into;
  }

  /**
   * Paints the layers anew where what they show has changed.
   * @param {Volume} volume
   * @param {{ kinds: Uint8Array, version: number }} masks
   * @param {Look} look
   */
  paint(volume, masks, look) {
    const wanted = `${this.index} ${volume.channel} ${masks.version} ${look.key}`;
    if (wanted === this.painted) return;
    this.painted = wanted;
    if (look.layer === "heatmap") {
      paintHeatmap(this.picture, this.cut(volume.probabilityU8, this.bytes));
      this.drawables = [this.picture.canvas];
      return;
    }
    const kinds = look.layer === "scan" ? this.kinds : this.cut(masks.kinds, this.kinds);
    if (look.layer === "mask") {
      paintMask(this.picture, maskOf(kinds, TUMOR));
      this.drawables = [this.picture.canvas];
      return;
    }
    const { pixels } = this.picture;
    this.cut(volume.gray, this.bytes);
    for (let i = 0; i < pixels.length; i++) pixels[i] = look.colors[this.bytes[i]];
    this.picture.show();
    this.drawables = [this.picture.canvas];
    if (look.layer === "errors" && volume.truth) this.addErrors(kinds, volume.truth, look);
    if (look.layer === "overlay" && look.hasMask) this.addMask(kinds, look.fill);
  }

  /**
   * @param {Uint8Array} kinds
   * @param {number} fill
   */
  addMask(kinds, fill) {
    for (const [kind, color, isDashed] of OUTLINES) {
      if (!kinds.includes(kind)) continue;
      const mask = maskOf(kinds, kind);
      if (kind === TUMOR && fill) {
        paintOverlay(this.over, mask, fill);
        this.drawables.push(this.over.canvas);
      }
      this.drawables.push({ path: this.outline(mask), color, isDashed });
    }
  }

  /**
   * @param {Uint8Array} kinds
   * @param {Uint8Array} truth of the volume
   * @param {Look} look
   */
  addErrors(kinds, truth, { fill, isColorBlind }) {
    const colors = ERROR_COLORS[isColorBlind ? "color-blind" : "standard"];
    const parts = paintErrors(this.over, maskOf(kinds, TUMOR), this.cut(truth, this.bytes), fill, isColorBlind);
    this.drawables.push(this.over.canvas);
    for (const [i, mask] of parts.entries()) this.drawables.push({ path: this.outline(mask), color: colors[i], isDashed: false });
  }

  /** @param {Uint8Array} mask */
  outline(mask) {
    const path = new Path2D();
    path.addPath(outlineOf(mask, this.columns, this.rows), { a: this.wide, d: this.tall });
    return path;
  }

  /**
   * @param {CanvasRenderingContext2D} context in mm of the plane
   * @param {Voxel} cross
   * @param {number} unit mm per CSS pixel
   */
  drawCross(context, cross, unit) {
    const { x, y } = this.pointOf(cross);
    const gap = GAP_CSS_PX * unit;
    const { width, height } = this.viewport;
    context.setLineDash([]);
    context.lineWidth = unit;
    context.strokeStyle = CROSS_COLOR;
    context.beginPath();
    for (const [fromX, fromY, toX, toY] of [[0, y, x - gap, y], [x + gap, y, width, y], [x, 0, x, y - gap], [x, y + gap, x, height]]) {
      if (toX < fromX || toY < fromY) continue; // the gap reaches the edge
      context.moveTo(fromX, fromY);
      context.lineTo(toX, toY);
    }
    context.stroke();
  }

  /**
   * Draws the plane; on a phone one is seen, and the others cost nothing.
   * @param {Volume} volume
   * @param {{ kinds: Uint8Array, version: number }} masks
   * @param {Look} look
   * @param {{ cross: Voxel | null, measures: Drawn[], outlinePx: number }} over
   */
  draw(volume, masks, look, { cross, measures, outlinePx }) {
    const { canvas, viewport } = this;
    const { clientWidth, clientHeight } = canvas;
    if (!clientWidth || !clientHeight) return;
    this.paint(volume, masks, look);
    const ratio = window.devicePixelRatio || 1;
    const size = { width: Math.round(clientWidth * ratio), height: Math.round(clientHeight * ratio) };
    if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size);
    const context = context2d(canvas);
    const scale = viewport.scale(size.width, size.height); // device pixels per mm
    const unit = ratio / scale;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, size.width, size.height);
    context.setTransform(scale, 0, 0, scale, size.width / 2 - viewport.centerX * scale, size.height / 2 - viewport.centerY * scale);
    const pixel = scale * Math.min(this.wide, this.tall);
    drawAll(context, this.drawables, { width: viewport.width, height: viewport.height, pixel, unit, outlinePx });
    if (cross) this.drawCross(context, cross, unit);
    drawMeasures(context, unit, measures);
  }
}

/**
 * @param {Uint8Array} kinds
 * @param {number} kind
 */
function maskOf(kinds, kind) {
  const mask = new Uint8Array(kinds.length);
  for (let i = 0; i < kinds.length; i++) if (kinds[i] === kind) mask[i] = 1;
  return mask;
}
