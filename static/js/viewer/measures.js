/* Ruler and area, drawn by hand on the picture: in pixels, and in mm where the spacing is known. They last as long as the page. */
import { element } from "../core/elements.js";
import { count } from "../core/format.js";

const LEAST_PX = 0.5; // a shorter stroke was a click

/** @typedef {{ x: number, y: number }} Point in pixels of the scan, or mm of a plane */
/** @typedef {{ slice: number | string, isMm: boolean }} Place a slice's number, or a plane's key */
/** @typedef {{ kind: "ruler" | "area", points: Point[] } & Place} Measure */
/** @typedef {{ path: Path2D, label: string, at: Point }} Drawn */

export class Measures {
  /**
   * @param {[tall: number, wide: number] | null} spacing mm of a pixel
   * @param {() => void} onChange
   */
  constructor(spacing, onChange) {
    this.spacing = spacing;
    this.onChange = onChange;
    /** @type {Measure[]} */
    this.all = [];
    /** @type {Measure | null} under way */
    this.open = null;
    this.words = element("#measure-words", HTMLElement);
    this.clearButton = element("#measures-clear", HTMLButtonElement);
    this.clearButton.addEventListener("click", () => this.clear());
  }

  /**
   * @param {"ruler" | "area"} kind
   * @param {Place} place
   * @param {Point} point
   */
  begin(kind, place, point) {
    this.open = { kind, ...place, points: [point] };
    this.all.push(this.open);
  }

  /** @param {Point} point */
  extend(point) {
    if (!this.open) return;
    if (this.open.kind === "ruler") this.open.points[1] = point;
    else this.open.points.push(point);
    this.show(this.open);
  }

  finish() {
    const { open } = this;
    this.open = null;
    if (open && (open.points.length < (open.kind === "ruler" ? 2 : 3) || extent(open.points) < LEAST_PX)) this.all.pop();
    this.show(this.all.at(-1) ?? null);
  }

  removeLast() {
    this.all.pop();
    this.show(this.all.at(-1) ?? null);
  }

  clear() {
    this.all = [];
    this.show(null);
  }

  /** @param {Measure | null} measure the last one, whose figure is said */
  show(measure) {
    this.words.textContent = measure ? this.figure(measure) : "";
    // Not in the middle of a stroke: a bar that breaks into two lines moves the picture under the pointer.
    if (!this.open) this.clearButton.hidden = !this.all.length;
    this.onChange();
  }

  /** @param {Measure} measure */
  figure({ kind, points, isMm }) {
    if (isMm) return kind === "ruler" ? `${Math.hypot(points[1].x - points[0].x, points[1].y - points[0].y).toFixed(1)}\u00a0mm` : `${areaOf(points).toFixed(0)}\u00a0mm²`;
    const [tall, wide] = this.spacing ?? [0, 0];
    if (kind === "ruler") {
      const [from, to] = points;
      const length = Math.hypot(to.x - from.x, to.y - from.y);
      return `${length.toFixed(1)}\u00a0px${this.spacing ? `, ${Math.hypot((to.x - from.x) * wide, (to.y - from.y) * tall).toFixed(1)}\u00a0mm` : ""}`;
    }
    const pixels = areaOf(points);
    return `${count(Math.round(pixels))}\u00a0px²${this.spacing ? `, ${(pixels * tall * wide).toFixed(0)}\u00a0mm²` : ""}`;
  }

  /**
   * What is to be drawn on a slice or plane.
   * @param {number | string} slice
   * @returns {Drawn[]}
   */
  drawn(slice) {
    return this.all.filter((measure) => measure.slice === slice && measure.points.length > 1).map((measure) => {
      const path = new Path2D();
      for (const { x, y } of measure.points) path.lineTo(x, y);
      if (measure.kind === "area") path.closePath();
      return { path, label: this.figure(measure), at: measure.points[measure.kind === "ruler" ? 1 : 0] };
    });
  }
}

/** @param {Point[]} points the longer side of the box around them */
function extent(points) {
  const xs = points.map(({ x }) => x);
  const ys = points.map(({ y }) => y);
  return Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys));
}

/**
 * The shoelace formula.
 * @param {Point[]} points
 */
export function areaOf(points) {
  const twice = points.reduce((sum, { x, y }, i) => {
    const next = points[(i + 1) % points.length];
    return sum + x * next.y - next.x * y;
  }, 0);
  return Math.abs(twice) / 2;
}
