/* One case: its pictures are drawn onto canvases that zoom and pan together; masks are red, as everywhere. */
import { isTyping } from "../core/dialogs.js";
import { followGestures } from "../viewer/gestures.js";
import { STEP, Viewport } from "../viewer/viewport.js";

const TUMOR = "#ff4d6a";
const MASKS = ["truth", "mask"];
const byId = (id) => document.getElementById(id);
const root = byId("case-viewer");

/** The picture of a panel; a white mask turned red. */
function painted(image, kind) {
  if (!MASKS.includes(kind)) return image;
  const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  context.globalCompositeOperation = "multiply";
  context.fillStyle = TUMOR;
  context.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}

function draw(panel, viewport) {
  const { canvas, picture } = panel;
  const box = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio;
  const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
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

async function start() {
  const found = [...root.querySelectorAll(".panel")].map(async (figure) => {
    const image = figure.querySelector("img");
    const kind = figure.dataset.kind;
    try {
      await image.decode();
      return { canvas: figure.querySelector("canvas"), picture: painted(image, kind), isSmooth: !MASKS.includes(kind) };
    } catch {
      figure.querySelector("canvas").remove(); // the image is gone: its alternative text stands there
      return null;
    }
  });
  const panels = (await Promise.all(found)).filter(Boolean);
  const viewport = new Viewport(Number(root.dataset.width), Number(root.dataset.height), () => {
    for (const panel of panels) draw(panel, viewport);
    byId("zoom-value").textContent = `${Math.round(100 * viewport.zoom)}\u00a0%`;
  });
  const zoom = (way) => {
    const box = panels[0]?.canvas.getBoundingClientRect();
    if (way === "fit" || !box) viewport.reset();
    else viewport.zoomBy(way === "in" ? STEP : 1 / STEP, { panelWidth: box.width, panelHeight: box.height });
  };
  for (const { canvas } of panels) {
    canvas.closest(".panel").dataset.drawn = "";
    followGestures(canvas, viewport);
  }
  root.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-zoom]");
    if (button) zoom(button.dataset.zoom);
  });
  document.addEventListener("keydown", (event) => {
    if (isTyping(event)) return;
    const way = { "+": "in", "=": "in", "-": "out", 0: "fit" }[event.key];
    if (way) zoom(way);
  });
  new ResizeObserver(() => viewport.settle()).observe(root);
  viewport.settle();
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const link = byId({ j: "after", k: "before" }[event.key] ?? "");
  if (link) location.assign(link.href);
});
if (root) start();
