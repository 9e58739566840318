/* The result page's keys, as the `?` dialog lists them. */
/** @import { Viewer } from "./viewer.js" */
import { isTyping } from "../core/dialogs.js";
import { element, targetOf } from "../core/elements.js";

const PAN_PX = 48;
/** @type {Map<string, [number, number]>} steps to the right and down that the picture moves */
const ARROWS = new Map([["ArrowLeft", [1, 0]], ["ArrowRight", [-1, 0]], ["ArrowUp", [0, 1]], ["ArrowDown", [0, -1]]]);

const ENDS = new Set(["Home", "End"]);

/** Folds the options of the display; false where they were folded. */
function closeDisplay() {
  const display = element("#display", HTMLDetailsElement);
  const wasOpen = display.open;
  display.open = false;
  return wasOpen;
}

/** @param {Viewer} viewer */
export function followKeys(viewer) {
  const keys = new Map([
    ["+", () => viewer.zoom("in")],
    ["=", () => viewer.zoom("in")],
    ["-", () => viewer.zoom("out")],
    ["0", () => viewer.zoom("fit")],
    ["m", () => viewer.toggleMask()],
    ["h", () => viewer.toggleHeatmap()],
    ["g", () => viewer.display.nextChannel()],
    ["i", () => viewer.display.invert()],
    ["n", () => viewer.display.usePreset("auto")],
    ["N", () => viewer.display.usePreset("full")],
    ["o", () => viewer.setFill(!viewer.isFilled)],
    ["w", () => viewer.tools.choose("window")],
    ["r", () => viewer.tools.choose("ruler")],
    ["a", () => viewer.tools.choose("area")],
    ["Backspace", () => viewer.measures.removeLast()],
    ["f", () => viewer.toggleFullScreen()],
    ["p", () => viewer.planes?.toggle()],
    ["d", () => viewer.planes?.isOpen && viewer.planes.surface.toggle()],
    ["l", () => viewer.planes?.isOpen && viewer.planes.nextPlane()],
    ["x", () => viewer.planes?.isOpen && viewer.planes.toggleCross()],
    ["v", () => viewer.comparison?.toggle()],
    ["c", () => viewer.cine?.toggle()],
    ["Escape", () => closeDisplay() || viewer.show("overlay")],
    ["[", () => viewer.nudgeThreshold(-0.01)],
    ["]", () => viewer.nudgeThreshold(0.01)],
  ]);
  for (let place = 0; place < viewer.panels.canvases.size; place++) keys.set(`${place + 1}`, () => viewer.showAt(place));
  if (viewer.stack.count > 1) {
    keys.set("Home", () => viewer.stepBy(-viewer.index));
    keys.set("End", () => viewer.stepBy(viewer.stack.count - 1 - viewer.index));
  }
  document.addEventListener("pointerdown", (event) => {
    if (!targetOf(event)?.closest("#display")) closeDisplay();
  });
  document.addEventListener("keydown", (event) => {
    if (isTyping(event)) return;
    const arrow = ARROWS.get(event.key);
    const act = keys.get(event.key);
    const view = viewer.planes?.isOpen ? viewer.planes : viewer;
    const isOnSlider = event.target instanceof HTMLInputElement && event.target.type === "range";
    if (isOnSlider && (arrow || ENDS.has(event.key))) return; // the slider's own step
    if (arrow) {
      if (event.shiftKey && view.isZoomed) view.panBy(arrow[0] * PAN_PX, arrow[1] * PAN_PX);
      else if (viewer.stack.count > 1 && arrow[0]) view.stepBy(-arrow[0]);
      else return;
    } else if (act) {
      act();
    } else {
      return;
    }
    event.preventDefault();
  });
}
