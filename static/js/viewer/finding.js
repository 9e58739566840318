/* The finding beside the viewer: while a threshold is tried, its figures are shown, and the stored ones beside them. */
/** @import { Doubt } from "../core/types.js" */
/** @import { Sum } from "./totals.js" */
import { stateOf, wordOf } from "../core/chips.js";
import { element, elements } from "../core/elements.js";
import { area, count, percent, threshold as thresholdWords, uncountedWords, volume } from "../core/format.js";
import { setIcon } from "../core/icons.js";
import { agreementOf } from "./mask.js";

/** @typedef {{ slices: number, totalPixels: number, pixelSize: number | null, threshold: number, minPixels: number, hasDepth: boolean }} FindingFacts
   pixelSize: mm² of a pixel of one slice, mm³ of a stack's voxel, null without spacing; threshold: the stored one;
   hasDepth: whether a rule for stacks is applied when a threshold is saved */

/**
 * What stands on the page while a threshold is tried: the bar that saves it, and words beside what is of the stored run.
 * @param {boolean} isPreview
 */
export function showNotes(isPreview) {
  element("#preview-bar", HTMLElement).hidden = !isPreview;
  for (const note of elements("[data-preview-note]", HTMLElement)) note.hidden = !isPreview;
}

export class Finding {
  /**
   * @param {HTMLElement} root
   * @param {FindingFacts} scan
   */
  constructor(root, { slices, totalPixels, pixelSize, threshold, minPixels, hasDepth }) {
    this.root = root;
    this.slices = slices;
    this.totalPixels = totalPixels;
    this.pixelSize = pixelSize;
    this.threshold = threshold;
    this.minPixels = minPixels;
    this.hasDepth = hasDepth;
    this.verdict = this.part("verdict");
    this.verdictWords = element("strong", HTMLElement, this.verdict);
    const { verdict: storedVerdict = "no_tumor", shown = storedVerdict, allClear = "no_tumor", withMask = "tumor_detected" } = this.verdict.dataset;
    this.storedState = shown;
    this.noVerdictWords = this.verdict.dataset.noVerdict ?? "";
    this.storedVerdict = storedVerdict;
    // What an empty mask amounts to under the scan's warnings.
    this.allClear = allClear;
    // And what a mask amounts to: nothing, where the scan is surely of another sequence.
    this.withMask = withMask;
    this.doubt = this.part("doubt");
    this.doubtWords = element("span", HTMLElement, this.doubt);
    this.storedDoubt = this.doubtWords.textContent;
    this.uncounted = this.part("uncounted");
    this.uncountedWords = element("span", HTMLElement, this.uncounted);
    this.storedUncounted = this.uncounted.hidden ? "" : this.uncountedWords.textContent;
    this.facts = elements("[data-fact]", HTMLElement, root).map((fact) => ({
      element: fact,
      name: fact.dataset.fact ?? "",
      stored: fact.textContent,
      beside: element(".stored", HTMLElement, fact.parentElement ?? root),
    }));
  }

  /**
   * Figures of a threshold that is not stored.
   * @param {number} threshold
   * @param {Sum} sum
   */
  preview(threshold, sum) {
    const tag = this.part("preview-tag");
    tag.hidden = false;
    tag.textContent = `Preview at ${thresholdWords(threshold)}. Stored: ${thresholdWords(this.threshold)}.`;
    if (this.hasDepth) tag.textContent += " The rule for stacks is applied when it is saved.";
    this.root.dataset.preview = "";
    const isPartial = sum.counted < this.slices;
    const note = this.part("totals-note");
    note.hidden = !isPartial;
    if (isPartial) note.textContent = `Counted so far: ${sum.counted} of ${this.slices} slices.`;
    const isVoid = this.withMask === "not_assessed";
    const empty = sum.doubt && !isVoid ? "uncertain" : this.allClear;
    const verdict = sum.pixels > 0 || isVoid ? this.withMask : isPartial ? null : empty;
    this.showVerdict(verdict && wordOf(verdict, sum.uncounted));
    this.showDoubt(verdict === "uncertain" && sum.doubt ? this.sentenceOf(sum.doubt, threshold) : null);
    this.showUncounted(sum.uncounted ? uncountedWords(sum.uncounted, this.minPixels, threshold) : "");
    const figures = this.figures(threshold, sum);
    for (const fact of this.facts) {
      fact.element.textContent = figures.get(fact.name) ?? fact.stored;
      fact.beside.hidden = false;
    }
    this.showBar(threshold, figures.get("coverage") ?? "", isPartial);
  }

  /**
   * The same in one line under the sliders, where the buttons are.
   * @param {number} threshold
   * @param {string} coverage
   * @param {boolean} isPartial
   */
  showBar(threshold, coverage, isPartial) {
    const stored = this.facts.find(({ name }) => name === "coverage")?.stored ?? "";
    showNotes(true);
    element("#preview-words", HTMLElement).textContent = isPartial
      ? `Preview at ${thresholdWords(threshold)}: counting the other slices.`
      : `Preview at ${thresholdWords(threshold)}: ${this.verdictWords.textContent.toLowerCase()}, ${coverage} (stored ${stored}).`;
  }

  /**
   * The figures of a threshold as text, by the name of their data-fact.
   * @param {number} threshold
   * @param {Sum} sum
   * @returns {Map<string, string>}
   */
  figures(threshold, { pixels, slicesWithTumor, levels, overlap, doubt }) {
    const dice = overlap && agreementOf(overlap).dice;
    const figures = new Map([
      ["dice", dice === null ? "–" : dice.toFixed(3)],
      ["confidence", pixels ? percent((100 * levels) / (255 * pixels), 1) : "–"],
      ["rim", "–"], // measured when a threshold is saved
      ["threshold", `${thresholdWords(threshold)} (preview)`],
      ["in-doubt", doubt ? `${count(doubt.regions)} region${doubt.regions === 1 ? "" : "s"}` : "none"],
      ["most-doubt", doubt ? percent(100 * doubt.max_probability, 0) + (this.slices > 1 ? `, slice ${doubt.slice + 1}` : "") : "–"],
      ["coverage", percent((100 * pixels) / this.totalPixels)],
      ["pixels", count(pixels)],
      ["slices", `${slicesWithTumor} of ${this.slices}`],
    ]);
    const ofHead = (100 * pixels) / Number(this.root.dataset.headPixels);
    figures.set("head", percent(ofHead, ofHead >= 0.1 ? 1 : 2));
    if (this.pixelSize) figures.set("area", area(pixels * this.pixelSize)).set("volume", volume(pixels * this.pixelSize));
    return figures;
  }

  /** The figures of the stored threshold, as the server wrote them. */
  stored() {
    delete this.root.dataset.preview;
    showNotes(false);
    for (const id of ["preview-tag", "totals-note"]) this.part(id).hidden = true;
    this.showVerdict(this.storedState);
    this.showDoubt(this.storedVerdict === "uncertain" ? this.storedDoubt : null);
    this.showUncounted(this.storedUncounted);
    for (const fact of this.facts) {
      fact.element.textContent = fact.stored;
      fact.beside.hidden = true;
    }
  }

  /** @param {string | null} verdict as `wordOf` says it; null: not all slices are counted, and none of those that are has tumor */
  showVerdict(verdict) {
    const { tone, icon, words } = verdict ? stateOf(verdict) : { tone: "plain", icon: "running", words: "Counting" };
    this.verdict.dataset.tone = tone;
    this.verdictWords.textContent = verdict === "not_assessed" ? this.noVerdictWords : words;
    setIcon(this.verdict, icon);
  }

  /** @param {string | null} sentence */
  showDoubt(sentence) {
    this.doubt.hidden = sentence === null;
    if (sentence !== null) this.doubtWords.textContent = sentence;
  }

  /** @param {string | null} sentence */
  showUncounted(sentence) {
    this.uncounted.hidden = !sentence;
    if (sentence) this.uncountedWords.textContent = sentence;
  }

  /**
   * What is in doubt, as templates/scans/result/finding.html says it.
   * @param {Doubt} doubt
   * @param {number} threshold
   */
  sentenceOf({ slice, pixels, max_probability: probability, regions }, threshold) {
    const isStack = this.slices > 1;
    const where = isStack ? ` at slice ${slice + 1}` : "";
    const first = `A region of ${count(pixels)} px with up to ${percent(100 * probability, 0)}${where} is below what this model calls a tumor: ${count(Math.max(this.minPixels, 1))} px above ${thresholdWords(threshold)}.`;
    const more = `${count(regions - 1)} more region${regions > 2 ? "s" : ""} of the ${isStack ? "stack" : "image"} like it.`;
    return regions > 1 ? `${first} ${more}` : first;
  }

  /** @param {string} id */
  part(id) {
    return element(`#${id}`, HTMLElement, this.root);
  }
}
