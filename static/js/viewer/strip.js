/* The strip under the panels: a bar a slice, as high as its tumor area, and the slider that steps through them. */
import { element, elements } from "../core/elements.js";
import { count } from "../core/format.js";

export class Strip {
  /**
   * @param {HTMLElement} root
   * @param {(index: number) => void} onSlice
   */
  constructor(root, onSlice) {
    const chart = element(".strip-bars", SVGSVGElement, root);
    this.bars = elements("a", SVGAElement, chart).map((link) => ({
      area: Number(link.dataset.area), // as stored
      name: link.dataset.name ?? "", // of its file, of a stack of files
      rect: element(".strip-bar", SVGRectElement, link),
      title: element("title", SVGTitleElement, link),
    }));
    this.cursor = element("#strip-cursor", SVGRectElement, root);
    // The second is for phones, beside the pictures.
    this.sliders = ["#slice", "#slice-here"].map((selector) => element(selector, HTMLInputElement));
    this.valueHere = element("#slice-here-value", HTMLElement);
    this.value = element("#slice-value", HTMLElement, root);
    this.name = element("#slice-name", HTMLElement, root);
    this.note = element("#strip-note", HTMLElement, root);
    for (const slider of this.sliders) slider.addEventListener("input", () => onSlice(Number(slider.value)));
    const under = (/** @type {MouseEvent} */ event) => {
      const box = chart.getBoundingClientRect();
      return Math.min(this.bars.length - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * this.bars.length)));
    };
    chart.addEventListener("click", (event) => event.preventDefault());
    chart.addEventListener("dragstart", (event) => event.preventDefault());
    chart.addEventListener("pointerdown", (event) => {
      chart.setPointerCapture(event.pointerId);
      onSlice(under(event));
    });
    chart.addEventListener("pointermove", (event) => event.buttons && onSlice(under(event)));
  }

  /** @param {number} index */
  showSlice(index) {
    for (const slider of this.sliders) {
      slider.value = `${index}`;
      slider.setAttribute("aria-valuetext", `Slice ${index + 1} of ${this.bars.length}`);
    }
    this.value.textContent = `${index + 1}`;
    this.name.textContent = this.bars[index].name;
    this.valueHere.textContent = `${index + 1} of ${this.bars.length}`;
    this.cursor.setAttribute("x", `${index * 10}`);
  }

  /** @param {(number | null)[]} areas tumor pixels per slice; null where not counted yet, whose bar keeps its height and pales */
  showAreas(areas) {
    const most = Math.max(1, ...areas.map((area) => area ?? 0));
    for (const [index, { rect, title }] of this.bars.entries()) {
      const area = areas[index];
      rect.toggleAttribute("data-is-open", area === null);
      if (area === null) continue;
      const tall = (100 * area) / most;
      rect.setAttribute("y", `${100 - tall}`);
      rect.setAttribute("height", `${tall}`);
      title.textContent = `Slice ${index + 1}: ${count(area)} px`;
    }
    const highest = Math.max(0, ...areas.map((area) => area ?? 0));
    this.note.textContent = `${this.note.dataset.what} area per slice, highest ${count(highest)} px`;
  }
}
