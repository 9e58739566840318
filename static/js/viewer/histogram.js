/* How sure the model is: the pixels of the slice in view by their probability, on a logarithmic scale, with the threshold
   on the same axis. Red is what the mask takes in, drawn over all pixels of the bar; what is in doubt or not counted stays
   in the color of the rest. */
import { element } from "../core/elements.js";
import { count } from "../core/format.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 5; // values of the map in a bar: 255 = 51 * 5, so that no bar holds more values than its neighbors
const BARS = 51;
const AT_MOST_EVERY_MS = 100; // 102 bars take a fifth of a frame, and nobody reads them while slices run by
const SURE = 0.9; // above it, and below 1 - SURE, the model has decided

export class Histogram {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.chart = element("svg", SVGSVGElement, root);
    this.note = element("#histogram-note", HTMLElement, root);
    this.line = element("#histogram-threshold", SVGLineElement, root);
    this.bars = this.newBars();
    this.tumorBars = this.newBars();
    for (const bar of this.tumorBars) bar.toggleAttribute("data-is-tumor", true);
    this.timer = 0;
    this.drawnAt = -Infinity;
  }

  newBars() {
    return Array.from({ length: BARS }, (_, index) => {
      const bar = document.createElementNS(SVG, "rect");
      bar.setAttribute("x", `${index * WIDTH + 0.5}`);
      bar.setAttribute("width", `${WIDTH - 1}`);
      this.chart.insertBefore(bar, this.line);
      return bar;
    });
  }

  /**
   * Shows a slice: at once, or at the next rest.
   * @param {Uint8Array} probabilityU8 the map of a slice, round(255 p)
   * @param {Uint8Array} mask 1 where tumor
   */
  showMap(probabilityU8, mask) {
    clearTimeout(this.timer);
    if (performance.now() - this.drawnAt >= AT_MOST_EVERY_MS) this.draw(probabilityU8, mask);
    else this.timer = setTimeout(() => this.draw(probabilityU8, mask), AT_MOST_EVERY_MS);
  }

  /**
   * @param {Uint8Array} probabilityU8
   * @param {Uint8Array} mask
   */
  draw(probabilityU8, mask) {
    this.drawnAt = performance.now();
    const pixels = new Array(BARS).fill(0);
    const tumor = new Array(BARS).fill(0);
    let undecided = 0;
    for (let i = 0; i < probabilityU8.length; i++) {
      const value = probabilityU8[i];
      const bar = Math.min(BARS - 1, Math.floor(value / WIDTH));
      pixels[bar] += 1;
      tumor[bar] += mask[i];
      if (value > 255 * (1 - SURE) && value < 255 * SURE) undecided += 1;
    }
    for (const [bars, heights] of /** @type {const} */ ([[this.bars, pixels], [this.tumorBars, tumor]])) {
      for (const [index, bar] of bars.entries()) {
        const tall = (100 * Math.log1p(heights[index])) / Math.log1p(probabilityU8.length);
        bar.setAttribute("y", `${100 - tall}`);
        bar.setAttribute("height", `${tall}`);
      }
    }
    this.note.textContent = `between ${(1 - SURE).toFixed(1)} and ${SURE}: ${count(undecided)} px`;
    this.chart.setAttribute("aria-label", `Pixels of the slice by confidence; ${this.note.textContent} of ${count(probabilityU8.length)}`);
  }

  /** @param {number} threshold */
  showThreshold(threshold) {
    for (const end of ["x1", "x2"]) this.line.setAttribute(end, `${255 * threshold}`);
  }
}
