/* One case: its pictures are drawn onto canvases that zoom and pan together; masks are red, as everywhere. */
import { isTyping } from "../core/dialogs.js";
import { element, elements, findElement, targetOf } from "../core/elements.js";
import { context2d, TUMOR_COLOR } from "../viewer/canvas.js";
import { followGestures } from "../viewer/gestures.js";
import { STEP, Viewport } from "../viewer/viewport.js";

const ZOOM_KEYS = new Map([["+", "in"], ["=", "in"], ["-", "out"], ["0", "fit"]]);
const NEIGHBOR_KEYS = new Map([["j", "#after"], ["k", "#before"]]);
const MASKS = ["truth", "mask"];

/** @typedef {{ canvas: HTMLCanvasElement, picture: CanvasImageSource, isSmooth: boolean }} Panel */

/**
 * The picture of a panel; a white mask turned red.
 * @param {HTMLImageElement} image
 * @param {string} kind
 */
function painted(image, kind) {
  if (!MASKS.includes(kind)) return image;
  const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
  const context = context2d(canvas);
  context.drawImage(image, 0, 0);
  context.globalCompositeOperation = "multiply";
  context.fillStyle = TUMOR_COLOR;
  context.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}

/**
 * @param {Panel} panel
 * @param {Viewport} viewport
 */
function draw(panel, viewport) {
  const { canvas, picture } = panel;
  const box = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio;
  const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = context2d(canvas);
  const scale = viewport.scale(width, height);
  context.imageSmoothingEnabled = panel.isSmooth;
  context.clearRect(0, 0, width, height);
  context.drawImage(
    picture,
    width / 2 - viewport.centerX * scale,
    height / 2 - viewport.centerY * scale,
    viewport.width * scale,
    viewport.height * scale,
  );
}

/**
 * The panel of a figure; null where its image could not be loaded, whose alternative text is then shown.
 * @param {HTMLElement} figure
 * @returns {Promise<Panel | null>}
 */
async function panelOf(figure) {
  const image = element("img", HTMLImageElement, figure);
  const canvas = element("canvas", HTMLCanvasElement, figure);
  const { kind = "" } = figure.dataset;
  try {
    await image.decode();
    return { canvas, picture: painted(image, kind), isSmooth: !MASKS.includes(kind) };
  } catch {
    canvas.remove();
    return null;
  }
}

/** @param {HTMLElement} root */
async function start(root) {
  const found = await Promise.all(elements(".panel", HTMLElement, root).map(panelOf));
  const panels = found.filter((panel) => panel !== null);
  const zoomValue = element("#zoom-value", HTMLElement);
  const viewport = new Viewport(Number(root.dataset.width), Number(root.dataset.height), () => {
    for (const panel of panels) draw(panel, viewport);
    zoomValue.textContent = `${Math.round(100 * viewport.zoom)}\u00a0%`;
  });
  const zoom = (/** @type {string} */ way) => {
    const box = panels[0]?.canvas.getBoundingClientRect();
    if (way === "fit" || !box) viewport.reset();
    else viewport.zoomBy(way === "in" ? STEP : 1 / STEP, { panelWidth: box.width, panelHeight: box.height });
  };
  for (const { canvas } of panels) {
    canvas.closest("figure")?.setAttribute("data-drawn", "");
    followGestures(canvas, viewport, null);
  }
  root.addEventListener("click", (event) => {
    const way = targetOf(event)?.closest("button")?.dataset.zoom;
    if (way) zoom(way);
  });
  document.addEventListener("keydown", (event) => {
    if (isTyping(event)) return;
    const way = ZOOM_KEYS.get(event.key);
    if (way) zoom(way);
  });
  document.addEventListener("palette", async () => {
    await element('[data-kind="errors"] img', HTMLImageElement, root).decode().catch(() => {});
    viewport.settle();
  });
  new ResizeObserver(() => viewport.settle()).observe(root);
  viewport.settle();
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const neighbor = NEIGHBOR_KEYS.get(event.key);
  const link = neighbor && findElement(neighbor, HTMLAnchorElement);
  if (link) location.assign(link.href);
});
const root = findElement("#case-viewer", HTMLElement);
if (root) start(root);
