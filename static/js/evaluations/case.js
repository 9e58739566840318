/* One case of an evaluation, in the viewer of the result page. */
import { isTyping } from "../core/dialogs.js";
import { findElement } from "../core/elements.js";
import { followControls } from "../viewer/controls.js";
import { Viewer } from "../viewer/viewer.js";
import { CaseFinding } from "./finding.js";

const NEIGHBOR_KEYS = new Map([["j", "#after"], ["k", "#before"]]);

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const neighbor = NEIGHBOR_KEYS.get(event.key);
  const link = neighbor && findElement(neighbor, HTMLAnchorElement);
  if (link) location.assign(link.href);
});
const root = findElement("#viewer", HTMLElement);
if (root) {
  const viewer = new Viewer(root, (box, facts) => new CaseFinding(box, facts));
  followControls(viewer);
  viewer.start();
}
