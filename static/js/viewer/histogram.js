/* How sure the model is: the pixels of the slice in view by their probability, on a logarithmic scale, with the threshold
   on the same axis. Red is what the threshold takes in; components that are too small still count here. */
import { count } from "../core/format.js";
import { smallestQ } from "./mask.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 5; // values of q in a bar: 255 = 51 * 5, so that no bar holds more values than its neighbors
const BARS = 51;
const SURE = 0.9; // above it, and below 1 - SURE, the model has decided

export class Histogram {
  constructor(root) {
    this.chart = root.querySelector("svg");
    this.note = root.querySelector("#histogram-note");
    this.line = root.querySelector("#histogram-threshold");
    this.bars = Array.from({ length: BARS }, (_, index) => {
      const bar = document.createElementNS(SVG, "rect");
      bar.setAttribute("x", index * WIDTH + 0.5);
      bar.setAttribute("width", WIDTH - 1);
      this.chart.insertBefore(bar, this.line);
      return bar;
    });
  }

  /** q: Uint8Array, the probability map of a slice, round(255 p). */
  showMap(q) {
    const pixels = new Array(BARS).fill(0);
    let undecided = 0;
    for (let i = 0; i < q.length; i++) {
      pixels[Math.min(BARS - 1, Math.floor(q[i] / WIDTH))] += 1;
      if (q[i] > 255 * (1 - SURE) && q[i] < 255 * SURE) undecided += 1;
    }
    for (const [index, bar] of this.bars.entries()) {
      const tall = (100 * Math.log1p(pixels[index])) / Math.log1p(q.length);
      bar.setAttribute("y", 100 - tall);
      bar.setAttribute("height", tall);
    }
    this.note.textContent = `between ${(1 - SURE).toFixed(1)} and ${SURE}: ${count(undecided)} px`;
    this.chart.setAttribute("aria-label", `Pixels of the slice by confidence; ${this.note.textContent} of ${count(q.length)}`);
  }

  showThreshold(threshold) {
    const least = smallestQ(threshold);
    for (const [index, bar] of this.bars.entries()) bar.toggleAttribute("data-is-tumor", index * WIDTH >= least);
    for (const end of ["x1", "x2"]) this.line.setAttribute(end, 255 * threshold);
  }
}
