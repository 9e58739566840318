/* The strip under the panels: a bar a slice, as high as its tumor area, and the slider that steps through them. */
import { count } from "../core/format.js";

export class Strip {
  constructor(root, onSlice) {
    this.bars = [...root.querySelectorAll(".strip-bars a")];
    this.cursor = root.querySelector("#strip-cursor");
    this.sliders = ["slice", "slice-here"].map((id) => document.getElementById(id)); // the second is a phone's, beside the pictures
    this.valueHere = document.getElementById("slice-here-value");
    this.value = root.querySelector("#slice-value");
    this.note = root.querySelector("#strip-note");
    for (const slider of this.sliders) slider.addEventListener("input", () => onSlice(Number(slider.value)));
    const svg = root.querySelector(".strip-bars");
    const under = (event) => {
      const box = svg.getBoundingClientRect();
      return Math.min(this.bars.length - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * this.bars.length)));
    };
    svg.addEventListener("click", (event) => event.preventDefault());
    svg.addEventListener("dragstart", (event) => event.preventDefault());
    svg.addEventListener("pointerdown", (event) => {
      svg.setPointerCapture(event.pointerId);
      onSlice(under(event));
    });
    svg.addEventListener("pointermove", (event) => event.buttons && onSlice(under(event)));
  }

  showSlice(index) {
    for (const slider of this.sliders) {
      slider.value = index;
      slider.setAttribute("aria-valuetext", `Slice ${index + 1} of ${this.bars.length}`);
    }
    this.value.textContent = index + 1;
    this.valueHere.textContent = `${index + 1} of ${this.bars.length}`;
    this.cursor.setAttribute("x", index * 10);
  }

  /** areas: tumor pixels per slice; null where not counted yet, whose bar keeps its height and pales. */
  showAreas(areas) {
    const most = Math.max(1, ...areas.map((area) => area ?? 0));
    for (const [index, link] of this.bars.entries()) {
      const bar = link.querySelector(".strip-bar");
      const area = areas[index];
      bar.toggleAttribute("data-is-open", area === null);
      if (area === null) continue;
      const tall = (100 * area) / most;
      bar.setAttribute("y", 100 - tall);
      bar.setAttribute("height", tall);
      link.querySelector("title").textContent = `Slice ${index + 1}: ${count(area)} px`;
    }
    const highest = Math.max(0, ...areas.map((area) => area ?? 0));
    this.note.textContent = `tumor area per slice, highest ${count(highest)} px`;
  }
}
