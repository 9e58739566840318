/* The diameters of a lesion on its slice, drawn when its row of the measurements is chosen; chosen again, they are gone. */
import { elements, findElement, targetOf } from "../core/elements.js";

/** @import { Drawn } from "./measures.js" */
/** @typedef {{ slice: number, lines: [row: number, column: number][][], labels: string[] }} Chosen */

export class Lesions {
  /** @param {(slice: number) => void} show goes to a slice, and draws it again where it is in view */
  constructor(show) {
    /** @type {Chosen | null} */
    this.chosen = null;
    this.table = findElement("#lesions", HTMLElement);
    this.table?.addEventListener("click", (event) => {
      const link = targetOf(event)?.closest("tr")?.querySelector("a");
      // A new tab is the browser's.
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.choose(link);
      show(Number(link.dataset.slice));
      const picture = findElement(".panel.large", HTMLElement);
      if (picture && picture.getBoundingClientRect().top < 0) picture.scrollIntoView();
    });
  }

  /** @param {HTMLAnchorElement} link */
  choose(link) {
    const isChosen = link.getAttribute("aria-current") === "true";
    for (const other of elements("[data-lesion]", HTMLElement, this.table ?? undefined)) {
      other.removeAttribute("aria-current");
      other.closest("tr")?.classList.remove("chosen");
    }
    this.chosen = null;
    if (isChosen) return;
    link.setAttribute("aria-current", "true");
    link.closest("tr")?.classList.add("chosen");
    const { slice, lines = "[]", labels = "" } = link.dataset;
    this.chosen = { slice: Number(slice), lines: JSON.parse(lines), labels: labels.split("|") };
  }

  /**
   * What is to be drawn on a slice.
   * @param {number} slice
   * @returns {Drawn[]}
   */
  drawn(slice) {
    const { chosen } = this;
    if (chosen?.slice !== slice) return [];
    return chosen.lines.map((line, i) => {
      const path = new Path2D();
      for (const [row, column] of line) path.lineTo(column, row);
      // At the end that lies farther to the right, where a label has the most room beside the lesion.
      const [y, x] = line[0][1] > line[1][1] ? line[0] : line[1];
      return { path, label: chosen.labels[i], at: { x, y } };
    });
  }
}
