/* The finding beside the viewer: while a threshold is tried, its figures stand in front and the stored ones beside them. */
import { area, count, percent, stateOf, volume } from "../core/format.js";
import { setIcon } from "../core/icons.js";

export class Finding {
  constructor(root, { slices, totalPixels, pixelSize, threshold }) {
    Object.assign(this, { root, slices, totalPixels, pixelSize, threshold });
    this.verdict = root.querySelector("#verdict");
    this.storedTone = this.verdict.dataset.tone;
    this.facts = [...root.querySelectorAll("[data-fact]")].map((element) => ({
      element, name: element.dataset.fact, stored: element.textContent, beside: element.nextElementSibling,
    }));
  }

  /** Figures of a threshold that is not stored. sum: Totals.sum(). */
  preview(threshold, sum) {
    const tag = this.part("preview-tag");
    tag.hidden = false;
    tag.textContent = `Preview at ${threshold.toFixed(2)}. Stored: ${this.threshold.toFixed(2)}.`;
    this.root.dataset.preview = "";
    const isPartial = sum.counted < this.slices;
    const note = this.part("totals-note");
    note.hidden = !isPartial;
    if (isPartial) note.textContent = `Counted so far: ${sum.counted} of ${this.slices} slices.`;
    this.showVerdict(sum.pixels > 0 ? "tumor" : isPartial ? null : "clear");
    const words = this.words(threshold, sum);
    for (const fact of this.facts) {
      fact.element.textContent = words[fact.name] ?? fact.stored;
      fact.beside.hidden = false;
    }
    this.showBar(threshold, words.coverage, isPartial);
  }

  /* The same in one line under the sliders, where the buttons are. */
  showBar(threshold, coverage, isPartial) {
    const verdict = this.verdict.querySelector("strong").textContent;
    const stored = this.facts.find(({ name }) => name === "coverage").stored;
    for (const id of ["preview-bar", "downloads-note"]) document.getElementById(id).hidden = false;
    document.getElementById("preview-words").textContent = isPartial
      ? `Preview at ${threshold.toFixed(2)}: counting the other slices.`
      : `Preview at ${threshold.toFixed(2)}: ${verdict.toLowerCase()}, ${coverage} (stored ${stored}).`;
  }

  words(threshold, { pixels, slicesWithTumor }) {
    return {
      threshold: `${threshold.toFixed(2)} (preview)`,
      coverage: percent((100 * pixels) / this.totalPixels),
      pixels: count(pixels),
      slices: `${slicesWithTumor} of ${this.slices}`,
      area: this.pixelSize && area(pixels * this.pixelSize),
      volume: this.pixelSize && volume(pixels * this.pixelSize),
    };
  }

  stored() {
    delete this.root.dataset.preview;
    for (const id of ["preview-bar", "downloads-note"]) document.getElementById(id).hidden = true;
    for (const id of ["preview-tag", "totals-note"]) this.part(id).hidden = true;
    this.showVerdict(this.storedTone);
    for (const fact of this.facts) {
      fact.element.textContent = fact.stored;
      fact.beside.hidden = true;
    }
  }

  /* tone null: not all slices are counted, and none of those that are has tumor */
  showVerdict(tone) {
    const { icon, words } = tone ? stateOf(tone === "tumor" ? "tumor_detected" : "no_tumor") : { icon: "running", words: "Counting" };
    this.verdict.dataset.tone = tone ?? "plain";
    this.verdict.querySelector("strong").textContent = words;
    setIcon(this.verdict.querySelector("svg"), icon);
  }

  part(id) {
    return this.root.querySelector(`#${id}`);
  }
}
