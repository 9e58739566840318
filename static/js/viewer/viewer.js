/* The viewer as a whole: slice, threshold and opacity in; panels, strip and finding out. */
import { messageOf } from "../core/api.js";
import { element, elements, findElement } from "../core/elements.js";
import { isColorBlind } from "../core/palette.js";
import { count, threshold as thresholdWords } from "../core/format.js";
import { Cine } from "./cine.js";
import { Comparison } from "./comparison.js";
import { DOUBT_COLOR, TUMOR_COLOR, UNCOUNTED_COLOR } from "./canvas.js";
import { Display } from "./display.js";
import { Finding } from "./finding.js";
import { followGestures, place } from "./gestures.js";
import { Histogram } from "./histogram.js";
import { ERROR_COLORS, Layer, outlineOf, paintErrors, paintHeatmap, paintMask, paintOverlay } from "./layers.js";
import { doubtOf, maskArea, overlapOf, sumInside, tumorMask, uncountedOf } from "./mask.js";
import { Lesions } from "./lesions.js";
import { Measures } from "./measures.js";
import { Panels } from "./panels.js";
import { Planes } from "./planes/planes.js";
import { readPreference, writePreference } from "./preferences.js";
import { Readout } from "./readout.js";
import { PictureGone, Stack } from "./stack.js";
import { Strip } from "./strip.js";
import { Tools } from "./tools.js";
import { Totals } from "./totals.js";
import { STEP, Viewport } from "./viewport.js";

const ADDRESS_AFTER_MS = 150; // of rest

const byId = (/** @type {string} */ id) => element(`#${id}`, HTMLElement);

/** @import { FindingFacts } from "./finding.js" */
/** @import { Outline } from "./panels.js" */
/** @import { Sum } from "./totals.js" */
/** @typedef {{ preview: (threshold: number, sum: Sum) => void, stored: () => void }} Followed */
/** @typedef {{ rgba: Uint8ClampedArray, probabilityU8: Uint8Array, truth: Uint8Array | null, mask: Uint8Array, outlines: Outline[] }} Shown the slice in view */

export class Viewer {
  /**
   * @param {HTMLElement} root
   * @param {(root: HTMLElement, facts: FindingFacts) => Followed} newFinding what follows the threshold beside the pictures
   */
  constructor(root, newFinding = (box, facts) => new Finding(box, facts)) {
    const { address = "", width, height, slices, slice, threshold, minPixels, spacing } = root.dataset;
    const { doubtThreshold, doubtPixels, dropped, firstLooks, channel, truthSlices } = root.dataset;
    this.root = root;
    this.width = Number(width);
    this.height = Number(height);
    this.index = Number(slice);
    this.stored = Number(threshold);
    this.threshold = this.stored;
    this.thresholdSlider = element("#threshold", HTMLInputElement);
    this.opacity = Number(element("#opacity", HTMLInputElement).value) / 100;
    this.minPixels = Number(minPixels) || 0;
    this.doubtRule = doubtThreshold ? { threshold: Number(doubtThreshold), minPixels: Number(doubtPixels) } : null;
    /** @type {[row: number, column: number][][]} by slice, at the stored threshold */
    this.dropped = JSON.parse(dropped ?? "[]");
    /** @type {boolean[]} by slice, those that the first member of a cascade answered alone; none of other models */
    this.firstLooks = JSON.parse(firstLooks ?? "[]");
    this.hasMask = true;
    /** @type {Shown | null} null until its pictures are here */
    this.shown = null;
    /** @type {{ threshold: number, view: string | undefined } | null} what the screen showed before paper was printed */
    this.onScreen = null;
    this.naming = 0; // timer of the address
    this.stack = new Stack({ address, count: Number(slices), pixels: this.width * this.height,
      truthSlices: truthSlices ? truthSlices.split(" ").map(Number) : [] });
    this.layers = { scan: this.newLayer(), mask: this.newLayer(), overlay: this.newLayer(), heatmap: this.newLayer(), gray: truthSlices ? this.newLayer() : null, errors: truthSlices ? this.newLayer() : null, truth: truthSlices ? this.newLayer() : null };
    document.addEventListener("palette", () => this.paintOverlay());
    this.viewport = new Viewport(this.width, this.height, () => this.showZoom());
    this.panels = new Panels(byId("panels"), this.viewport);
    const step = this.stack.count > 1 ? (/** @type {number} */ steps) => this.stepBy(steps) : null;
    const [deep, tall, wide] = spacing ? spacing.split(" ").map(Number) : [];
    this.display = new Display(Number(channel), () => this.paintScan());
    this.measures = new Measures(spacing ? [tall, wide] : null, () => this.showMeasures());
    this.lesions = new Lesions((slice) => this.stepBy(slice - this.index));
    this.tools = new Tools(root, this.display, this.measures, () => this.place);
    this.readout = new Readout(this.display, this.width, this.height);
    for (const [layer, canvas] of this.panels.canvases) this.followPointer(layer, canvas, step);
    this.isFilled = true;
    this.setFill(readPreference("fill", "yes") === "yes");
    this.setOutline(Number(readPreference("outline", "1.5")));
    this.finding = newFinding(byId("finding"), {
      slices: this.stack.count, totalPixels: this.width * this.height * this.stack.count, threshold: this.stored,
      minPixels: this.minPixels, hasDepth: "hasDepth" in root.dataset,
      pixelSize: spacing ? tall * wide * (this.stack.count > 1 ? deep : 1) : null,
    });
    this.histogram = new Histogram(byId("histogram"));
    this.histogram.showThreshold(this.threshold);
    const strip = findElement("#strip", HTMLElement);
    this.strip = strip && new Strip(strip, (index) => this.stepBy(index - this.index));
    this.cine = strip && new Cine(this);
    const comparison = findElement("#comparison", HTMLElement);
    this.comparison = comparison && new Comparison(comparison, this);
    const planes = findElement("#planes", HTMLElement);
    this.planes = planes && new Planes(planes, this);
    this.panels.companion = this.planes;
    /** @type {(number | null)[]} by slice; null: to be counted */
    this.storedAreas = this.strip ? this.strip.bars.map(({ area }) => area) : [null];
    this.totals = new Totals(this.stack, {
      width: this.width, height: this.height, minPixels: this.minPixels, doubtRule: this.doubtRule, threshold: this.stored,
      onChange: () => this.showTotals(),
    });
  }

  /**
   * @param {string} layer
   * @param {HTMLCanvasElement} canvas
   * @param {((steps: number) => void) | null} step
   */
  followPointer(layer, canvas, step) {
    const isLarge = () => byId("panels").dataset.large === layer;
    // A small picture is to be made large; tools work on the large one.
    followGestures(canvas, this.viewport, step, () => isLarge() || this.show(layer), () => (isLarge() ? this.tools.hand : null));
    canvas.addEventListener("pointermove", (event) => this.readout.show(this.viewport.at(place(canvas, event.clientX, event.clientY)), this.shown));
    canvas.addEventListener("pointerleave", () => this.readout.show(null, this.shown));
  }

  newLayer() {
    return new Layer(this.width, this.height);
  }

  /** What a measure is drawn on. */
  get place() {
    return this.planes?.isOpen ? { slice: this.planes.active.key, isMm: true } : { slice: this.index, isMm: false };
  }

  get isZoomed() {
    return this.viewport.isZoomed;
  }

  get isPreview() {
    return Math.abs(this.threshold - this.stored) > 1e-9;
  }

  async start() {
    this.strip?.showSlice(this.index);
    await this.drawSlice();
    await this.planes?.start();
    if (this.stack.count > 1) await this.stack.mapsInBackground(this.index, () => this.isPreview && this.totals.count());
  }

  /* ---- slice ---- */
  /** @param {number} steps down the stack; the reader's own, which end the cine */
  stepBy(steps) {
    this.cine?.stop();
    return this.showSlice(this.index + steps);
  }

  /** @param {number} index brought into the stack's range */
  async showSlice(index) {
    this.index = Math.min(this.stack.count - 1, Math.max(0, index));
    this.strip?.showSlice(this.index);
    if (this.planes?.isOpen) this.planes.moveTo([this.planes.space.fromScanSlice(this.index), this.planes.cross[1], this.planes.cross[2]]);
    else await this.drawSlice();
  }

  /** The slice's own pictures, figures and names. */
  async drawSlice() {
    const wanted = this.index;
    try {
      /** @type {unknown} */
      let gone = null;
      const scan = this.stack.scan(wanted).catch((error) => {
        if (!(error instanceof PictureGone)) throw error;
        gone = error; // map and masks are still shown, on black
        return new Uint8ClampedArray(4 * this.width * this.height);
      });
      const [rgba, probabilityU8, truth] = await Promise.all([scan, this.stack.map(wanted), this.stack.truth(wanted)]);
      if (wanted !== this.index) return; // the reader has stepped on
      byId("viewer-problem").hidden = !gone;
      if (gone) byId("viewer-problem").textContent = messageOf(gone);
      paintHeatmap(this.layers.heatmap, probabilityU8);
      this.display.learn(rgba);
      this.paintPixels(rgba);
      this.paintTumor(rgba, probabilityU8, truth);
      if (this.isPreview) this.totals.count(); // also of a threshold that was chosen before the pictures were here
      this.measures.show(null);
      this.readout.show(this.readout.point, this.shown);
      this.root.dataset.drawn = "";
      this.root.dataset.slice = `${wanted}`;
      this.nameSlice();
      this.stack.prefetchScans(wanted);
      this.comparison?.update();
    } catch (error) {
      this.showProblem(error instanceof TypeError ? "The server cannot be reached; the pictures of this slice are missing." : messageOf(error));
    }
  }

  /** @param {string} sentence */
  showProblem(sentence) {
    byId("viewer-problem").hidden = false;
    byId("viewer-problem").textContent = sentence;
  }

  /* Names and addresses that hold the slice's number. */
  nameSlice() {
    const at = this.stack.count > 1 ? ` of slice ${this.index + 1}` : "";
    for (const [layer, canvas] of this.panels.canvases) canvas.setAttribute("aria-label", `${this.panels.titles.get(layer)}${at}`);
    for (const link of elements("[data-picture]", HTMLAnchorElement)) {
      const { picture = "", stem } = link.dataset;
      link.href = this.stack.address(picture, this.index);
      link.download = `${stem}-${picture}-${this.index + 1}.png`;
    }
    if (this.stack.count > 1) {
      clearTimeout(this.naming);
      this.naming = setTimeout(() => this.nameAddress(), ADDRESS_AFTER_MS);
    }
  }

  /* Browsers refuse many changes of the address a second. */
  nameAddress() {
    const address = new URL(location.href);
    address.searchParams.set("slice", `${this.index}`);
    history.replaceState(null, "", address);
  }

  /* ---- threshold and opacity ---- */
  /**
   * Shows a slice with the mask of the threshold that is set.
   * @param {Uint8ClampedArray} rgba of the slice
   * @param {Uint8Array} probabilityU8
   * @param {Uint8Array | null} truth
   */
  paintTumor(rgba, probabilityU8, truth) {
    // The rule for stacks was applied at the stored threshold; at another one it is when that is saved.
    const dropped = this.isPreview ? [] : (this.dropped[this.index] ?? []);
    const mask = tumorMask(probabilityU8, this.width, this.height, this.threshold, this.minPixels, dropped);
    const doubt = doubtOf(probabilityU8, this.width, this.height, mask, this.threshold, this.doubtRule);
    const uncounted = uncountedOf(probabilityU8, mask, doubt.mask, this.threshold);
    const pixels = maskArea(mask);
    const uncountedPixels = maskArea(uncounted);
    this.totals.put(this.index, pixels, doubt, uncountedPixels, sumInside(probabilityU8, mask), overlapOf(mask, truth));
    this.shown = {
      rgba, probabilityU8, truth, mask,
      outlines: [
        { path: outlineOf(mask, this.width, this.height), color: TUMOR_COLOR, isDashed: false },
        { path: outlineOf(doubt.mask, this.width, this.height), color: DOUBT_COLOR, isDashed: true },
        { path: outlineOf(uncounted, this.width, this.height), color: UNCOUNTED_COLOR, isDashed: true },
      ],
    };
    paintMask(this.layers.mask, mask);
    if (this.layers.truth && truth) paintMask(this.layers.truth, truth);
    this.histogram.showMap(probabilityU8, mask);
    element('[data-slot="slice-area"]', HTMLElement, this.root).textContent = `${count(pixels)} px`;
    element('[data-slot="slice-uncounted"]', HTMLElement, this.root).hidden = !uncountedPixels;
    const firstLook = findElement('[data-slot="first-look"]', HTMLElement, this.root);
    if (firstLook) firstLook.hidden = !this.firstLooks[this.index];
    this.paintOverlay();
  }

  paintOverlay() {
    if (!this.shown) return;
    const { mask, outlines } = this.shown;
    const { layers } = this;
    paintOverlay(layers.overlay, mask, this.isFilled ? this.opacity : 0);
    const scan = layers.scan.canvas;
    this.panels.sources = {
      scan: [scan],
      mask: [layers.mask.canvas],
      overlay: this.hasMask ? [scan, layers.overlay.canvas, ...outlines] : [scan],
      heatmap: [layers.heatmap.canvas],
      errors: [layers.gray?.canvas ?? scan, ...this.errors()],
      truth: [layers.truth?.canvas ?? scan],
    };
    this.comparison?.draw();
    this.panels.draw();
  }

  /* ---- how it is shown ---- */
  paintScan() {
    if (!this.shown) return;
    this.paintPixels(this.shown.rgba);
    this.panels.draw();
  }

  /** @param {Uint8ClampedArray} rgba of a slice, which lies in gray under the errors */
  paintPixels(rgba) {
    this.display.paint(this.layers.scan, rgba);
    if (this.layers.gray) this.display.paint(this.layers.gray, rgba, this.display.grayChannel);
  }

  showMeasures() {
    this.panels.measures = [...this.measures.drawn(this.index), ...this.lesions.drawn(this.index)];
    this.panels.draw();
  }

  /** @param {boolean} isFilled false: the outline alone */
  setFill(isFilled) {
    this.isFilled = isFilled;
    writePreference("fill", isFilled ? "yes" : "no");
    byId("toggle-fill").setAttribute("aria-pressed", `${isFilled}`);
    this.paintOverlay();
  }

  /** @param {number} width CSS pixels */
  setOutline(width) {
    this.panels.outlinePx = width;
    writePreference("outline", `${width}`);
    element("#outline-width", HTMLSelectElement).value = `${width}`;
    this.panels.draw();
  }

  async toggleFullScreen() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await this.root.requestFullscreen().catch(() => {}); // a browser may refuse
  }

  /* Where the model and the expert differ on the slice in view; nothing where it has no expert's mask. */
  errors() {
    const layer = this.layers.errors;
    if (!layer || !this.shown?.truth) return [];
    const palette = isColorBlind() ? "color-blind" : "standard";
    const kinds = paintErrors(layer, this.shown.mask, this.shown.truth, this.isFilled ? this.opacity : 0, isColorBlind());
    return [layer.canvas, ...kinds.map((kind, i) => ({ path: outlineOf(kind, this.width, this.height), color: ERROR_COLORS[palette][i], isDashed: false }))];
  }

  /** @param {number} value rounded to a hundredth, 0.01 to 0.99; beside the stored threshold it is the stored one */
  setThreshold(value) {
    this.threshold = Math.min(0.99, Math.max(0.01, Math.round(value * 100) / 100));
    // A stored one may lie beyond the slider's ends.
    if ([value, this.threshold].some((one) => Math.abs(one - this.stored) < 0.005)) this.threshold = this.stored;
    this.thresholdSlider.value = `${this.threshold}`;
    byId("threshold-value").textContent = thresholdWords(this.threshold);
    element("#colorbar-mark", SVGRectElement).setAttribute("x", `${this.threshold * 256 - 1.5}`);
    this.histogram.showThreshold(this.threshold);
    this.totals.begin(this.threshold, this.isPreview ? null : this.storedAreas);
    if (!this.shown) return; // counted as soon as its pictures are here
    this.paintTumor(this.shown.rgba, this.shown.probabilityU8, this.shown.truth);
    this.totals.count();
  }

  /** @param {number} step */
  nudgeThreshold(step) {
    this.setThreshold(this.threshold + step);
  }

  /** @param {number} fraction 0 to 1 */
  setOpacity(fraction) {
    this.opacity = fraction;
    byId("opacity-value").textContent = `${Math.round(100 * fraction)}\u00a0%`;
    this.paintOverlay();
  }

  showTotals() {
    if (this.isPreview) this.finding.preview(this.threshold, this.totals.sum());
    else this.finding.stored();
    this.strip?.showAreas(this.totals.areas);
  }

  /* ---- layers and zoom ---- */
  toggleMask() {
    this.hasMask = !this.hasMask;
    byId("toggle-mask").setAttribute("aria-pressed", `${this.hasMask}`);
    this.paintOverlay();
  }

  /**
   * Makes one panel the large one.
   * @param {string} layer
   */
  show(layer) {
    const panels = byId("panels");
    if (!this.panels.canvases.has(layer)) return;
    panels.dataset.large = layer;
    for (const button of elements("[data-show]", HTMLElement, panels)) {
      const isThis = button.dataset.show === layer;
      button.setAttribute("aria-pressed", `${isThis}`);
      button.closest(".panel")?.classList.toggle("large", isThis);
    }
    this.panels.draw();
  }

  /** @param {number} place of the panel, from 0 */
  showAt(place) {
    const layer = [...this.panels.canvases.keys()].at(place);
    if (layer) this.show(layer);
  }

  toggleHeatmap() {
    this.show(byId("panels").dataset.large === "heatmap" ? "overlay" : "heatmap");
  }

  /** Paper shows what is stored, in equal panels: a preview waits until it is printed. */
  beforePrint() {
    this.onScreen = { threshold: this.threshold, view: this.root.dataset.view };
    this.root.dataset.view = "slices";
    if (this.isPreview) this.setThreshold(this.stored);
    this.panels.drawNow();
  }

  afterPrint() {
    if (!this.onScreen) return;
    const { threshold, view } = this.onScreen;
    this.onScreen = null;
    this.root.dataset.view = view ?? "slices";
    if (threshold !== this.threshold) this.setThreshold(threshold);
  }

  panelSize() {
    const { clientWidth: panelWidth, clientHeight: panelHeight } = element(".panel.large canvas", HTMLElement, byId("panels"));
    return { panelWidth, panelHeight };
  }

  /** @param {string} way in, out or fit */
  zoom(way) {
    if (this.planes?.isOpen) this.planes.zoom(way);
    else if (way === "fit") this.viewport.reset();
    else this.viewport.zoomBy(way === "in" ? STEP : 1 / STEP, this.panelSize());
  }

  /**
   * @param {number} dx CSS pixels
   * @param {number} dy
   */
  panBy(dx, dy) {
    this.viewport.panBy(dx, dy, this.panelSize());
  }

  showZoom() {
    if (this.planes?.isOpen) return;
    byId("zoom-value").textContent = `${Math.round(100 * this.viewport.zoom)}\u00a0%`;
    this.root.toggleAttribute("data-zoomed", this.viewport.isZoomed);
    this.panels.draw();
  }
}
