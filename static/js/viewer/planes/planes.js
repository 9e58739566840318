/* Three planes through a volume, linked by one crosshair. Threshold, window, opacity, palette, tools and measures are the
   viewer's own; the voxels are fetched when the planes are first opened. */
/** @import { Viewer } from "../viewer.js" */
/** @import { Voxel } from "./space.js" */
import { messageOf } from "../../core/api.js";
import { element, elements } from "../../core/elements.js";
import { isColorBlind } from "../../core/palette.js";
import { followGestures, place } from "../gestures.js";
import { grayColors } from "../layers.js";
import { readPreference, writePreference } from "../preferences.js";
import { SurfacePanel } from "../surface/panel.js";
import { MaskVolume } from "./masks.js";
import { Plane } from "./plane.js";
import { Space } from "./space.js";
import { Volume } from "./volume.js";

const STACK_AFTER_MS = 200; // of rest the slice's own pictures, figures and address follow

export class Planes {
  /**
   * @param {HTMLElement} root
   * @param {Viewer} viewer
   */
  constructor(root, viewer) {
    this.root = root;
    this.viewer = viewer;
    this.space = new Space(JSON.parse(root.dataset.space ?? "{}"));
    const { scan = "", segmentation = "", truthSlices } = viewer.root.dataset;
    this.volume = new Volume(this.space, { scanId: scan, segmentationId: segmentation, hasTruth: truthSlices !== undefined });
    /** @type {MaskVolume | null} null until the voxels are here */
    this.masks = null;
    /** @type {Promise<void> | null} */
    this.loading = null;
    this.planes = elements("figure[data-axis]", HTMLElement, root).map((figure) => new Plane(figure, this.space, () => this.draw()));
    this.active = this.planes[0];
    this.large = this.active.figure;
    /** @type {Voxel} */
    this.cross = [this.space.fromScanSlice(viewer.index), Math.floor(this.space.shape[1] / 2), Math.floor(this.space.shape[2] / 2)];
    this.hasCross = true;
    this.frame = 0;
    this.following = 0; // timer of the stack
    this.hint = viewer.readout.hint;
    this.button = element("#toggle-planes", HTMLButtonElement);
    this.select = element("#planes-layer", HTMLSelectElement);
    this.progress = element("#planes-progress", HTMLElement, root);
    this.button.addEventListener("click", () => this.toggle());
    this.select.addEventListener("change", () => viewer.show(this.select.value));
    for (const plane of this.planes) this.follow(plane);
    this.surface = new SurfacePanel(element("#surface", HTMLElement, root), this);
    const resize = new ResizeObserver(() => this.draw());
    for (const plane of this.planes) resize.observe(plane.canvas);
    this.show(this.cross);
    this.activate(this.active);
  }

  /** @param {Plane} plane */
  follow(plane) {
    const { canvas, figure, slider } = plane;
    const moveTo = (/** @type {{ x: number, y: number }} */ point) => {
      const voxel = plane.voxelAt(point);
      if (voxel) this.moveTo(voxel);
    };
    const crosshair = { begin: moveTo, drag: moveTo, finish: () => {} };
    followGestures(canvas, plane.viewport, (steps) => this.stepBy(steps, plane), undefined, () => {
      const { tools } = this.viewer;
      return tools.tool === "cross" ? crosshair : tools.hand;
    });
    figure.addEventListener("pointerenter", () => this.activate(plane));
    figure.addEventListener("pointerdown", () => this.activate(plane), { capture: true });
    figure.addEventListener("focusin", () => this.activate(plane));
    slider.addEventListener("input", () => this.stepBy(Number(slider.value) - plane.index, plane));
    canvas.addEventListener("pointermove", (event) => this.say(plane.voxelAt(plane.viewport.at(place(canvas, event.clientX, event.clientY)))));
    canvas.addEventListener("pointerleave", () => this.say(null));
    element("[data-plane]", HTMLButtonElement, figure).addEventListener("click", () => this.enlarge(figure));
  }

  /* ---- open and closed ---- */
  get isOpen() {
    return this.viewer.root.dataset.view === "planes";
  }

  toggle() {
    return this.isOpen ? this.close() : this.open();
  }

  async open() {
    const { viewer } = this;
    viewer.cine?.stop();
    viewer.root.dataset.view = "planes";
    this.setState(true);
    this.enlarge(this.large);
    viewer.tools.rest = "cross";
    if (viewer.tools.tool === "pan") viewer.tools.choose("cross");
    if (viewer.cine) viewer.cine.viewer = this;
    this.show([this.space.fromScanSlice(viewer.index), this.cross[1], this.cross[2]]);
    await this.load();
  }

  async close() {
    const { viewer } = this;
    viewer.cine?.stop();
    viewer.root.dataset.view = "slices";
    this.setState(false);
    this.large.classList.remove("large"); // one picture of the page is
    viewer.tools.rest = "pan";
    if (viewer.tools.tool === "cross") viewer.tools.choose("pan");
    if (viewer.cine) viewer.cine.viewer = viewer;
    viewer.readout.hint = this.hint;
    viewer.showZoom();
    await viewer.showSlice(viewer.index);
  }

  /** @param {boolean} isOpen */
  setState(isOpen) {
    this.button.setAttribute("aria-pressed", `${isOpen}`);
    writePreference("view", isOpen ? "planes" : "slices");
    const address = new URL(location.href);
    address.searchParams.delete("view");
    if (isOpen) address.searchParams.set("view", "planes");
    history.replaceState(null, "", address);
  }

  /** Opens them where the address or the reader's last choice says so. */
  async start() {
    const said = this.viewer.root.dataset.view;
    if (said === "planes" || (!said && readPreference("view", "slices") === "planes")) await this.open();
  }

  load() {
    this.loading ??= this.fetch().catch((error) => {
      this.loading = null; // the next opening tries again
      this.viewer.showProblem(error instanceof TypeError ? "The server cannot be reached; the planes are missing." : messageOf(error));
    });
    return this.loading;
  }

  async fetch() {
    const { viewer } = this;
    await this.volume.load(this.channel, (share) => {
      this.progress.textContent = `Loading the volume: ${Math.round(100 * share)}\u00a0%`;
    });
    this.masks = new MaskVolume(this.volume, viewer, () => this.draw());
    this.masks.apply(viewer.threshold, this.cross[0]);
    this.progress.textContent = "";
    this.moveTo(this.masks.largestAt(this.cross[0]));
    this.root.dataset.ready = "";
  }

  /* ---- where ---- */
  /** @param {Voxel} voxel */
  moveTo(voxel) {
    const isOther = voxel[0] !== this.cross[0];
    this.show(voxel);
    if (!isOther) return;
    this.viewer.index = this.space.toScanSlice(voxel[0]);
    this.viewer.strip?.showSlice(this.viewer.index);
    clearTimeout(this.following);
    this.following = setTimeout(() => this.viewer.drawSlice(), STACK_AFTER_MS);
  }

  /** @param {Voxel} voxel */
  show(voxel) {
    this.cross = voxel;
    for (const plane of this.planes) {
      const index = voxel[plane.axes.through];
      if (index !== plane.index || !plane.value.textContent) plane.show(index);
    }
    this.root.dataset.mm = this.space.toMm(voxel).map((value) => value.toFixed(3)).join(" ");
    this.say(null);
    this.draw();
  }

  /**
   * @param {number} steps
   * @param {Plane} [plane]
   */
  stepBy(steps, plane = this.active) {
    this.viewer.cine?.stop();
    this.put(plane, plane.index + steps);
  }

  /**
   * @param {Plane} plane
   * @param {number} index brought into the plane's range
   */
  put(plane, index) {
    /** @type {Voxel} */
    const voxel = [...this.cross];
    voxel[plane.axes.through] = Math.min(plane.count - 1, Math.max(0, index));
    this.moveTo(voxel);
  }

  /** @param {Plane} plane whose index the keys step */
  activate(plane) {
    this.active = plane;
    for (const { figure } of this.planes) figure.toggleAttribute("data-active", figure === plane.figure);
    this.showZoom();
  }

  /** Makes the next plane the one that the keys step. */
  nextPlane() {
    this.activate(this.planes[(this.planes.indexOf(this.active) + 1) % this.planes.length]);
    this.active.slider.focus({ preventScroll: true });
  }

  /** @param {HTMLElement} figure that is to be the large one */
  enlarge(figure) {
    this.large = figure;
    for (const button of elements("[data-plane]", HTMLButtonElement, this.root)) {
      const isThis = figure.contains(button);
      button.setAttribute("aria-pressed", `${isThis}`);
      button.closest("figure")?.classList.toggle("large", isThis);
    }
    this.draw();
  }

  /* ---- for the cine, which plays the plane in use ---- */
  get index() {
    return this.active.index;
  }

  get stack() {
    return { count: this.active.count };
  }

  /** @param {number} index of the plane in use */
  async showSlice(index) {
    this.put(this.active, index);
  }

  /* ---- zoom ---- */
  get isZoomed() {
    return this.active.viewport.isZoomed;
  }

  /** @param {string} way in, out or fit: of all three, about the crosshair */
  zoom(way) {
    for (const plane of this.planes) plane.zoom(way, this.cross);
  }

  /**
   * @param {number} dx CSS pixels
   * @param {number} dy
   */
  panBy(dx, dy) {
    const { viewport, canvas } = this.active;
    viewport.panBy(dx, dy, { panelWidth: canvas.clientWidth, panelHeight: canvas.clientHeight });
  }

  showZoom() {
    if (!this.isOpen) return;
    element("#zoom-value", HTMLElement).textContent = `${Math.round(100 * this.active.viewport.zoom)}\u00a0%`;
    this.viewer.root.toggleAttribute("data-zoomed", this.planes.some(({ viewport }) => viewport.isZoomed));
  }

  /* ---- words ---- */
  /** @param {Voxel | null} voxel under the pointer; null: under the crosshair */
  say(voxel) {
    if (!this.isOpen) return;
    const { readout, display } = this.viewer;
    const at = this.space.at(voxel ?? this.cross);
    const values = this.masks ? `  ${display.hasColor ? `channel ${this.volume.channel + 1}` : "gray"} ${this.volume.gray[at]}  p ${(this.volume.probabilityU8[at] / 255).toFixed(3)}` : "";
    readout.hint = `${voxel ? "" : "+ "}${this.space.words(this.space.toMm(voxel ?? this.cross))}${values}`;
    readout.words.textContent = readout.hint;
  }

  /* ---- pictures ---- */
  /** The channel that is shown: planes have gray values, and in color that which is shown first. */
  get channel() {
    const { display, root } = this.viewer;
    return Math.max(0, display.channel < 0 ? Number(root.dataset.channel) : display.channel);
  }

  toggleCross() {
    this.hasCross = !this.hasCross;
    this.draw();
  }

  /** Draws at the next frame. */
  draw() {
    if (this.isOpen) this.frame ||= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    this.frame = 0;
    this.showZoom();
    const { viewer, masks } = this;
    if (!masks || !this.isOpen) return;
    const look = this.look();
    if (this.select.value !== look.layer) this.select.value = look.layer;
    this.root.dataset.look = look.layer; // its legend
    if (viewer.threshold !== masks.threshold) masks.apply(viewer.threshold, this.cross[0]);
    this.volume.show(this.channel).then((isOther) => isOther && this.draw(), (error) => viewer.showProblem(messageOf(error)));
    for (const plane of this.planes) {
      plane.draw(this.volume, masks, look, { cross: this.hasCross ? this.cross : null, measures: viewer.measures.drawn(plane.key), outlinePx: viewer.panels.outlinePx });
    }
    this.surface.follow(masks);
    this.root.dataset.drawn = this.planes.map(({ index }) => index).join(" ");
  }

  /** How the viewer's settings have the pictures. */
  look() {
    const { display, hasMask, isFilled, opacity, panels } = this.viewer;
    const layer = panels.large;
    const fill = isFilled ? opacity : 0;
    const table = display.table();
    return {
      layer, hasMask, fill, isColorBlind: isColorBlind(), colors: grayColors(table),
      key: [layer, hasMask, fill, isColorBlind(), display.low, display.high, display.isInverted].join(),
    };
  }
}
