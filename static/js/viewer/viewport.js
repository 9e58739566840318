/* What part of a slice the panels show; one viewport for all of them. Coordinates are pixels of the scan. */

const MAX_ZOOM = 32;
export const STEP = 1.25;

export class Viewport {
  constructor(width, height, onChange) {
    Object.assign(this, { width, height, onChange });
    this.zoom = 1; // 1: the whole slice fits
    this.centerX = width / 2;
    this.centerY = height / 2;
  }

  get isZoomed() {
    return this.zoom > 1;
  }

  /** CSS pixels per scan pixel in a panel of this size. */
  scale(panelWidth, panelHeight) {
    return Math.min(panelWidth / this.width, panelHeight / this.height) * this.zoom;
  }

  /** Zooms by `factor`, keeping the scan's pixel under (offsetX, offsetY) in place: CSS pixels from the panel's middle. */
  zoomBy(factor, { panelWidth, panelHeight, offsetX = 0, offsetY = 0 }) {
    const before = this.scale(panelWidth, panelHeight);
    this.zoom = Math.min(MAX_ZOOM, Math.max(1, this.zoom * factor));
    const after = this.scale(panelWidth, panelHeight);
    this.centerX += offsetX / before - offsetX / after;
    this.centerY += offsetY / before - offsetY / after;
    this.settle();
  }

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

  /* The slice never leaves the panel. */
  settle() {
    const half = 0.5 / this.zoom;
    const clamp = (value, size) => Math.min(size * (1 - half), Math.max(size * half, value));
    this.centerX = clamp(this.centerX, this.width);
    this.centerY = clamp(this.centerY, this.height);
    this.onChange();
  }
}
