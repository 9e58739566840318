/* Two masks over one picture, with a divider between them: at its left what is shown, at its right another run or the expert. */
/** @import { Drawable } from "./panels.js" */
/** @import { Viewer } from "./viewer.js" */
import { getRuns, messageOf } from "../core/api.js";
import { element } from "../core/elements.js";
import { count } from "../core/format.js";
import { TUMOR_COLOR } from "./canvas.js";
import { outlineOf, paintOverlay } from "./layers.js";
import { maskArea, tumorMask } from "./mask.js";
import { Stack } from "./stack.js";

const TRUTH = "truth";

/** @typedef {(index: number) => Promise<Uint8Array | null>} Masks the other mask of a slice, 1 where tumor; null where there is none */

export class Comparison {
  /**
   * @param {HTMLElement} root what lies over the picture: the names and the divider
   * @param {Viewer} viewer
   */
  constructor(root, viewer) {
    this.root = root;
    this.viewer = viewer;
    this.select = element("#compare", HTMLSelectElement);
    this.slider = element("input", HTMLInputElement, root);
    this.words = element("#comparison-words", HTMLElement);
    this.layer = viewer.newLayer();
    /** @type {Masks | null} null: nothing is compared */
    this.masks = null;
    /** @type {Uint8Array | null} of the slice in view; null: not here yet, or none */
    this.mask = null;
    this.chosen = ""; // last, for the key
    this.select.addEventListener("change", () => this.choose(this.select.value));
    this.slider.addEventListener("input", () => this.draw());
  }

  get isOn() {
    return this.masks !== null;
  }

  /** Compares with what was chosen last, at first with the first in the list; or stops. */
  toggle() {
    return this.choose(this.isOn ? "" : this.chosen || this.select.options[1].value);
  }

  /** @param {string} value of the list */
  async choose(value) {
    this.select.value = value;
    this.masks = null;
    if (value) {
      this.chosen = value;
      element('[data-side="right"]', HTMLElement, this.root).textContent = this.select.selectedOptions[0].textContent;
      try {
        const masks = value === TRUTH ? (/** @type {number} */ index) => this.truth(index) : await this.masksOfRun(value);
        if (this.select.value !== value) return; // the reader has chosen again
        this.masks = masks;
        this.viewer.show("overlay");
      } catch (error) {
        this.viewer.showProblem(messageOf(error));
        this.select.value = "";
      }
    }
    this.root.hidden = !this.isOn;
    await this.update();
  }

  /** @param {number} index */
  async truth(index) {
    const truth = await this.viewer.stack.truth(index);
    return truth && truth.map((value) => (value ? 1 : 0));
  }

  /**
   * @param {string} id of a run of the same scan
   * @returns {Promise<Masks>}
   */
  async masksOfRun(id) {
    const { scan = "", segmentation = "" } = this.viewer.root.dataset;
    const run = (await getRuns(scan)).segmentations.find((item) => item.id === id);
    if (!run) throw new Error("That segmentation was deleted; load this page again.");
    const { width, height, stack } = this.viewer;
    const address = stack.template.replace(segmentation, id);
    const other = new Stack({ address, count: stack.count, pixels: width * height, truthSlices: [] });
    return async (index) =>
      tumorMask(await other.map(index), width, height, run.threshold, run.min_tumor_pixels ?? 0, run.slices[index]?.dropped ?? []);
  }

  /** Fetches the other mask of the slice in view, and shows it. */
  async update() {
    const wanted = this.viewer.index;
    const masks = this.masks;
    this.mask = null;
    this.draw();
    if (!masks) return;
    try {
      const mask = await masks(wanted);
      if (wanted !== this.viewer.index || masks !== this.masks) return; // the reader has gone on
      this.mask = mask;
      this.draw();
    } catch (error) {
      this.viewer.showProblem(messageOf(error));
    }
  }

  /** Shows what there is, and says how far both agree on the slice in view. */
  draw() {
    const { panels, shown, layers, opacity, isFilled, hasMask, width, height } = this.viewer;
    this.words.textContent = "";
    panels.swipe = null;
    if (this.isOn && shown) {
      /** @type {Drawable[]} */
      const right = [layers.scan.canvas];
      if (this.mask) {
        paintOverlay(this.layer, this.mask, isFilled ? opacity : 0);
        if (hasMask) right.push(this.layer.canvas, { path: outlineOf(this.mask, width, height), color: TUMOR_COLOR, isDashed: false });
        this.words.textContent = wordsOf(shown.mask, this.mask);
      } else {
        this.words.textContent = this.select.value === TRUTH && !this.viewer.stack.truthSlices.has(this.viewer.index)
          ? "The expert has no mask of this slice." : "";
      }
      panels.swipe = { at: Number(this.slider.value) / 100, right };
    }
    panels.draw();
  }
}

/**
 * @param {Uint8Array} left
 * @param {Uint8Array} right
 */
function wordsOf(left, right) {
  const areas = [maskArea(left), maskArea(right)];
  if (!areas[0] && !areas[1]) return "On this slice neither marks anything.";
  let both = 0;
  for (let i = 0; i < left.length; i++) both += left[i] & right[i];
  return `On this slice ${count(areas[0])} px at the left, ${count(areas[1])} px at the right; Dice ${((2 * both) / (areas[0] + areas[1])).toFixed(3)}.`;
}
