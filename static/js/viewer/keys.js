/* The result page's keys, as the `?` dialog lists them. */
import { isTyping } from "../core/dialogs.js";

const PAN_PX = 48;
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export function followKeys(viewer) {
  const keys = {
    "+": () => viewer.zoom("in"),
    "=": () => viewer.zoom("in"),
    "-": () => viewer.zoom("out"),
    0: () => viewer.zoom("fit"),
    m: () => viewer.toggleMask(),
    h: () => viewer.toggleHeatmap(),
    Escape: () => viewer.closeEnlarged(),
    "[": () => viewer.nudgeThreshold(-0.01),
    "]": () => viewer.nudgeThreshold(0.01),
  };
  document.addEventListener("keydown", (event) => {
    if (isTyping(event)) return;
    const arrow = ARROWS[event.key];
    if (arrow) {
      if (event.target.type === "range") return; // the slider's own step
      if (event.shiftKey && viewer.viewport.isZoomed) viewer.panBy(arrow[0] * PAN_PX, arrow[1] * PAN_PX);
      else if (viewer.stack.count > 1 && arrow[0]) viewer.showSlice(viewer.index - arrow[0]);
      else return;
    } else if (keys[event.key]) {
      keys[event.key]();
    } else {
      return;
    }
    event.preventDefault();
  });
}
