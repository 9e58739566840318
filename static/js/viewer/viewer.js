/* The viewer as a whole: slice, threshold and opacity in; panels, strip and finding out. */
import { maskArea, tumorMask } from "./mask.js";
import { count } from "../core/format.js";
import { Finding } from "./finding.js";
import { followGestures } from "./gestures.js";
import { Histogram } from "./histogram.js";
import { Layer, outlineOf, paintHeatmap, paintMask, paintOverlay } from "./layers.js";
import { Panels } from "./panels.js";
import { Stack } from "./stack.js";
import { Strip } from "./strip.js";
import { Totals } from "./totals.js";
import { STEP, Viewport } from "./viewport.js";

const byId = (id) => document.getElementById(id);

export class Viewer {
  constructor(root) {
    const { scan, segmentation, width, height, slices, slice, threshold, minPixels, spacing } = root.dataset;
    this.root = root;
    this.width = Number(width);
    this.height = Number(height);
    this.index = Number(slice);
    this.stored = Number(threshold);
    this.threshold = this.stored;
    this.opacity = Number(byId("opacity").value) / 100;
    this.minPixels = Number(minPixels) || 0;
    this.hasMask = true;
    this.stack = new Stack({ scanId: scan, segmentationId: segmentation, count: Number(slices) });
    this.layers = { mask: this.newLayer(), overlay: this.newLayer(), heatmap: this.newLayer() };
    this.viewport = new Viewport(this.width, this.height, () => this.showZoom());
    this.panels = new Panels(root, this.viewport);
    for (const canvas of this.panels.canvases.values()) followGestures(canvas, this.viewport);
    const [deep, tall, wide] = spacing ? spacing.split(" ").map(Number) : [];
    this.finding = new Finding(byId("finding"), {
      slices: this.stack.count, totalPixels: this.width * this.height * this.stack.count, threshold: this.stored,
      pixelSize: spacing ? tall * wide * (this.stack.count > 1 ? deep : 1) : null,
    });
    this.storedAreas = this.stack.count > 1
      ? [...root.querySelectorAll(".strip-bars a")].map((link) => Number(link.dataset.area))
      : [null];
    this.histogram = new Histogram(byId("histogram"));
    this.histogram.showThreshold(this.threshold);
    this.strip = byId("strip") && new Strip(byId("strip"), (index) => this.showSlice(index));
    this.totals = new Totals(this.stack, {
      width: this.width, height: this.height, minPixels: this.minPixels, threshold: this.stored,
      onChange: () => this.showTotals(),
    });
  }

  newLayer() {
    return new Layer(this.width, this.height);
  }

  get isPreview() {
    return Math.abs(this.threshold - this.stored) > 1e-9;
  }

  async start() {
    await this.showSlice(this.index);
    if (this.stack.count > 1) await this.stack.mapsInBackground(this.index, () => this.isPreview && this.totals.count());
  }

  /* ---- slice ---- */
  async showSlice(index) {
    this.index = Math.min(this.stack.count - 1, Math.max(0, index));
    this.strip?.showSlice(this.index);
    const wanted = this.index;
    try {
      const [scan, q] = await Promise.all([this.stack.scan(wanted), this.stack.map(wanted)]);
      if (wanted !== this.index) return; // the reader has stepped on
      this.picture = scan;
      this.q = q;
      byId("viewer-problem").hidden = true;
      paintHeatmap(this.layers.heatmap, q);
      this.histogram.showMap(q);
      this.paintTumor();
      this.root.dataset.drawn = "";
      this.root.dataset.slice = wanted;
      this.nameSlice();
      this.stack.prefetchScans(wanted);
    } catch (error) {
      const problem = byId("viewer-problem");
      problem.hidden = false;
      problem.textContent = error instanceof TypeError ? "The server cannot be reached; the pictures of this slice are missing." : error.message;
    }
  }

  /* Names and addresses that hold the slice's number. */
  nameSlice() {
    const at = this.stack.count > 1 ? ` of slice ${this.index + 1}` : "";
    for (const [layer, canvas] of this.panels.canvases) canvas.setAttribute("aria-label", `${layer[0].toUpperCase()}${layer.slice(1)}${at}`);
    for (const link of document.querySelectorAll("[data-picture]")) {
      link.href = this.stack.address(link.dataset.picture, this.index);
      link.download = `${link.dataset.stem}-${link.dataset.picture}-${this.index + 1}.png`;
    }
    if (this.stack.count > 1) {
      const address = new URL(location.href);
      address.searchParams.set("slice", this.index);
      history.replaceState(null, "", address);
    }
  }

  /* ---- threshold and opacity ---- */
  paintTumor() {
    const mask = tumorMask(this.q, this.width, this.height, this.threshold, this.minPixels);
    const pixels = maskArea(mask);
    this.totals.put(this.index, pixels);
    this.mask = mask;
    this.outline = outlineOf(mask, this.width, this.height);
    paintMask(this.layers.mask, mask);
    this.root.querySelector('[data-slot="slice-area"]').textContent = `${count(pixels)} px`;
    this.paintOverlay();
    return pixels;
  }

  paintOverlay() {
    paintOverlay(this.layers.overlay, this.mask, this.opacity);
    const { mask, overlay, heatmap } = this.layers;
    this.panels.sources = {
      scan: [this.picture],
      mask: [mask.canvas],
      overlay: this.hasMask ? [this.picture, overlay.canvas, this.outline] : [this.picture],
      heatmap: [heatmap.canvas],
    };
    this.panels.draw();
  }

  setThreshold(value) {
    this.threshold = Math.min(0.99, Math.max(0.01, Math.round(value * 100) / 100));
    if (Math.abs(this.threshold - this.stored) < 0.005) this.threshold = this.stored;
    byId("threshold").value = this.threshold;
    byId("threshold-value").textContent = this.threshold.toFixed(2);
    byId("colorbar-mark").setAttribute("x", this.threshold * 256 - 1.5);
    this.histogram.showThreshold(this.threshold);
    if (!this.q) return;
    this.totals.threshold = this.threshold;
    this.totals.areas = this.isPreview ? new Array(this.stack.count).fill(null) : [...this.storedAreas];
    this.paintTumor();
    this.totals.count();
  }

  nudgeThreshold(step) {
    this.setThreshold(this.threshold + step);
  }

  setOpacity(fraction) {
    this.opacity = fraction;
    byId("opacity-value").textContent = `${Math.round(100 * fraction)}\u00a0%`;
    if (this.mask) this.paintOverlay();
  }

  showTotals() {
    if (this.isPreview) this.finding.preview(this.threshold, this.totals.sum());
    else this.finding.stored();
    this.strip?.showAreas(this.totals.areas);
  }

  /* ---- layers and zoom ---- */
  toggleMask() {
    this.hasMask = !this.hasMask;
    byId("toggle-mask").setAttribute("aria-pressed", this.hasMask);
    if (this.mask) this.paintOverlay();
  }

  toggleHeatmap() {
    const panels = byId("panels");
    const isShown = panels.dataset.heatmap === "off";
    panels.dataset.heatmap = isShown ? "on" : "off";
    byId("toggle-heatmap").setAttribute("aria-pressed", isShown);
    this.panels.draw();
  }

  /** Gives one panel the whole width, or, asked again, none. */
  enlarge(layer) {
    const panels = byId("panels");
    const isOn = panels.dataset.enlarged !== layer;
    if (isOn) panels.dataset.enlarged = layer;
    else delete panels.dataset.enlarged;
    for (const button of panels.querySelectorAll("[data-enlarge]")) {
      const isThis = isOn && button.dataset.enlarge === layer;
      button.setAttribute("aria-pressed", isThis);
      button.closest(".panel").classList.toggle("enlarged", isThis);
    }
    this.panels.draw();
  }

  closeEnlarged() {
    const { enlarged } = byId("panels").dataset;
    if (enlarged) this.enlarge(enlarged);
  }

  /** Paper shows what is stored, in four equal panels: a preview or an enlarged panel waits until it is printed. */
  beforePrint() {
    const { enlarged } = byId("panels").dataset;
    this.onScreen = { threshold: this.threshold, enlarged };
    this.closeEnlarged();
    if (this.isPreview) this.setThreshold(this.stored);
    this.panels.drawNow();
  }

  afterPrint() {
    const { threshold, enlarged } = this.onScreen ?? {};
    delete this.onScreen;
    if (enlarged) this.enlarge(enlarged);
    if (threshold !== undefined && threshold !== this.threshold) this.setThreshold(threshold);
  }

  panelSize() {
    const { clientWidth: panelWidth, clientHeight: panelHeight } = this.panels.canvases.get("scan");
    return { panelWidth, panelHeight };
  }

  zoom(way) {
    if (way === "fit") this.viewport.reset();
    else this.viewport.zoomBy(way === "in" ? STEP : 1 / STEP, this.panelSize());
  }

  panBy(dx, dy) {
    this.viewport.panBy(dx, dy, this.panelSize());
  }

  showZoom() {
    byId("zoom-value").textContent = `${Math.round(100 * this.viewport.zoom)}\u00a0%`;
    this.root.toggleAttribute("data-zoomed", this.viewport.isZoomed);
    this.panels.draw();
  }
}
