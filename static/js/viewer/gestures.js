/* Wheel, drag, pinch and double click on any panel move the one viewport; a tool may take the drag. */
/** @import { Hand } from "./tools.js" */
/** @import { Place, Viewport } from "./viewport.js" */
import { STEP } from "./viewport.js";

const WHEEL_SPEED = 0.0016; // zoom per unit of wheel delta: a mouse's notch of 100 makes 17 %
const TAP_PX = 5;
const SLICE_DELTA = 60; // wheel delta that steps one slice: a notch is one, and a trackpad, which sends a few units at a time, can stop at each

/**
 * Where a pointer is.
 * @param {HTMLCanvasElement} canvas
 * @param {number} x in the window, CSS pixels
 * @param {number} y
 * @returns {Place}
 */
export function place(canvas, x, y) {
  const box = canvas.getBoundingClientRect();
  return {
    panelWidth: box.width,
    panelHeight: box.height,
    offsetX: x - box.left - box.width / 2,
    offsetY: y - box.top - box.height / 2,
  };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Viewport} viewport
 * @param {((steps: number) => void) | null} step through the slices of a stack; null: there is one, and the wheel zooms
 * @param {() => void} [tap] on a press that moved nothing
 * @param {() => Hand | null} [handOf] what takes a drag of one pointer; null: it pans
 */
export function followGestures(canvas, viewport, step, tap, handOf) {
  /** @type {Map<number, { x: number, y: number }>} by the pointer's id */
  const pointers = new Map();
  let span = 0; // between two fingers; 0: not measured yet

  let turned = 0; // since the last slice
  let moved = 0; // CSS pixels since the press
  /** @type {Hand | null} */
  let hand = null; // of the drag under way

  /** @param {number} delta */
  function stepBy(delta) {
    turned = Math.sign(turned) === -Math.sign(delta) ? delta : turned + delta;
    const steps = Math.trunc(turned / SLICE_DELTA);
    if (!steps) return;
    turned = 0; // a notch of 100 or 120 is one slice
    step?.(Math.sign(steps));
  }

  canvas.addEventListener("wheel", (event) => {
    // Browsers send a pinch of the trackpad as a wheel with Ctrl.
    if (step && !event.ctrlKey) {
      event.preventDefault();
      stepBy(event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1));
      return;
    }
    if (!viewport.isZoomed && event.deltaY > 0 && !event.ctrlKey) return; // fitted already: the page scrolls
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1;
    viewport.zoomBy(Math.exp(-event.deltaY * lines * WHEEL_SPEED), place(canvas, event.clientX, event.clientY));
  }, { passive: false });

  canvas.addEventListener("dblclick", (event) => {
    if (viewport.isZoomed) viewport.reset();
    else viewport.zoomBy(STEP ** 4, place(canvas, event.clientX, event.clientY));
  });

  const drop = () => {
    hand?.finish();
    hand = null;
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    span = 0;
    moved = pointers.size > 1 ? Infinity : 0;
    drop(); // a second finger pinches
    if (pointers.size > 1) return;
    hand = handOf?.() ?? null;
    hand?.begin(viewport.at(place(canvas, event.clientX, event.clientY)));
  });

  canvas.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    moved += Math.hypot(event.clientX - last.x, event.clientY - last.y);
    if (hand) {
      hand.drag(viewport.at(place(canvas, event.clientX, event.clientY)), event.clientX - last.x, event.clientY - last.y);
    } else if (pointers.size === 1) {
      viewport.panBy(event.clientX - last.x, event.clientY - last.y, place(canvas, 0, 0));
    } else if (pointers.size === 2) {
      const [a, b] = pointers.values();
      const now = Math.hypot(a.x - b.x, a.y - b.y);
      if (span) viewport.zoomBy(now / span, place(canvas, (a.x + b.x) / 2, (a.y + b.y) / 2));
      span = now;
    }
  });

  const forget = (/** @type {PointerEvent} */ event) => {
    pointers.delete(event.pointerId);
    span = 0;
    drop();
  };
  canvas.addEventListener("pointerup", (event) => {
    if (pointers.has(event.pointerId) && moved < TAP_PX) tap?.();
    forget(event);
  });
  canvas.addEventListener("pointercancel", forget);
  canvas.addEventListener("lostpointercapture", forget);
}
