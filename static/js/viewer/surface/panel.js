/* The 3-D view's place beside the planes: opened and closed; its script is loaded when it is first opened. */
/** @import { MaskVolume } from "../planes/masks.js" */
/** @import { Planes } from "../planes/planes.js" */
/** @import { Surface } from "./surface.js" */
import { messageOf } from "../../core/api.js";
import { element } from "../../core/elements.js";

export class SurfacePanel {
  /**
   * @param {HTMLElement} figure
   * @param {Planes} planes
   */
  constructor(figure, planes) {
    this.figure = figure;
    this.planes = planes;
    /** @type {Surface | null} null until it is opened */
    this.surface = null;
    this.button = element("#toggle-surface", HTMLButtonElement);
    this.button.addEventListener("click", () => this.toggle());
    element("[data-plane]", HTMLButtonElement, figure).addEventListener("click", () => planes.enlarge(figure));
  }

  async toggle() {
    const { figure, planes } = this;
    const isOpen = figure.hidden;
    figure.hidden = !isOpen;
    this.button.setAttribute("aria-pressed", `${isOpen}`);
    planes.enlarge(isOpen ? figure : planes.planes[0].figure);
    if (!isOpen) return;
    try {
      const { Surface } = await import("./surface.js");
      this.surface ??= new Surface(figure, planes);
      this.surface.draw();
    } catch (error) {
      planes.viewer.showProblem(messageOf(error));
    }
  }

  /** Draws a threshold that is tried, once its masks are there. @param {MaskVolume} masks */
  follow(masks) {
    if (!this.figure.hidden) this.surface?.follow(masks.version);
  }
}
