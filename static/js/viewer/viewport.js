/* What part of a slice the panels show; one viewport for all of them. Coordinates are pixels of the scan. */

const MAX_ZOOM = 32;
export const STEP = 1.25;

/** @typedef {{ panelWidth: number, panelHeight: number, offsetX?: number, offsetY?: number }} Place CSS pixels: the size of a panel, and how far from its middle */

export class Viewport {
  /**
   * @param {number} width of the scan
   * @param {number} height
   * @param {() => void} onChange
   */
  constructor(width, height, onChange) {
    this.width = width;
    this.height = height;
    this.onChange = onChange;
    this.zoom = 1; // 1: the whole slice fits
    this.centerX = width / 2;
    this.centerY = height / 2;
  }

  get isZoomed() {
    return this.zoom > 1;
  }

  /**
   * Pixels of a panel of this size per pixel of the scan.
   * @param {number} panelWidth
   * @param {number} panelHeight
   */
  scale(panelWidth, panelHeight) {
    return Math.min(panelWidth / this.width, panelHeight / this.height) * this.zoom;
  }

  /**
   * The point of the scan under the offsets.
   * @param {Place} place
   */
  at({ panelWidth, panelHeight, offsetX = 0, offsetY = 0 }) {
    const scale = this.scale(panelWidth, panelHeight);
    return { x: this.centerX + offsetX / scale, y: this.centerY + offsetY / scale };
  }

  /**
   * Zooms, keeping the pixel of the scan under the offsets in place.
   * @param {number} factor
   * @param {Place} place
   */
  zoomBy(factor, { panelWidth, panelHeight, offsetX = 0, offsetY = 0 }) {
    const before = this.scale(panelWidth, panelHeight);
    this.zoom = Math.min(MAX_ZOOM, Math.max(1, this.zoom * factor));
    const after = this.scale(panelWidth, panelHeight);
    this.centerX += offsetX / before - offsetX / after;
    this.centerY += offsetY / before - offsetY / after;
    this.settle();
  }

  /**
   * @param {number} dx CSS pixels
   * @param {number} dy
   * @param {Place} place
   */
  panBy(dx, dy, { panelWidth, panelHeight }) {
    const scale = this.scale(panelWidth, panelHeight);
    this.centerX -= dx / scale;
    this.centerY -= dy / scale;
    this.settle();
  }

  reset() {
    this.zoom = 1;
    this.settle();
  }

  /** Keeps the slice inside the panel, and tells of the change. */
  settle() {
    const half = 0.5 / this.zoom;
    /** @type {(value: number, size: number) => number} */
    const clamp = (value, size) => Math.min(size * (1 - half), Math.max(size * half, value));
    this.centerX = clamp(this.centerX, this.width);
    this.centerY = clamp(this.centerY, this.height);
    this.onChange();
  }
}
