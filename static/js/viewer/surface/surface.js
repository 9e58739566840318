/* The tumor in the head, in three dimensions: rays through the voxels, drawn by WebGL. Loaded when it is first opened. */
/** @import { Planes } from "../planes/planes.js" */
import { element, elements } from "../../core/elements.js";
import { TUMOR } from "../planes/masks.js";
import { FRAGMENT, VERTEX } from "./shader.js";
import { textureOf } from "./texture.js";

const TURN_PER_PX = 0.008; // radians
const TURN_PER_KEY = Math.PI / 24;
const STEEPEST = Math.PI / 2;
const COARSE = 0.5; // device pixels per CSS pixel while it is turned: old machines keep up
const FINE_AFTER_MS = 150;
const FILLED = 0.9; // of the ball around the box: its corners are air
const TUMOR_RGB = [1, 0x4d / 255, 0x6a / 255];
/** @type {Record<string, [yaw: number, pitch: number]>} */
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
/* The directions that a picture's edges have: columns, rows, slices. */
/** @type {[selector: string, direction: [number, number, number]][]} */
const EDGES = [
  ["axial right", [1, 0, 0]], ["axial left", [-1, 0, 0]], ["axial bottom", [0, 1, 0]], ["axial top", [0, -1, 0]],
  ["coronal top", [0, 0, 1]], ["coronal bottom", [0, 0, -1]],
];

export class Surface {
  /**
   * @param {HTMLElement} figure
   * @param {Planes} planes
   */
  constructor(figure, planes) {
    this.figure = figure;
    this.planes = planes;
    this.canvas = element("canvas", HTMLCanvasElement, figure);
    this.yaw = -0.6;
    this.pitch = 0.25;
    this.ratio = 1;
    this.frame = 0;
    this.resting = 0;
    this.version = -1; // of the masks in the texture
    this.channel = -1;
    this.letters = this.newLetters();
    /** @type {WebGLTexture | null} */
    this.texture = null;
    this.texel = [1, 1, 1];
    this.skin = 0.5;
    this.gl = this.canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true });
    element("#surface-missing", HTMLElement, figure).hidden = this.gl !== null;
    if (!this.gl) return;
    this.program = link(this.gl);
    this.followPointer();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /* Letters of the patient's sides, where the planes have them. */
  newLetters() {
    return EDGES.flatMap(([name, direction]) => {
      const [axis, edge] = name.split(" ");
      const words = elements(`[data-axis="${axis}"] [data-edge="${edge}"]`, HTMLElement, this.planes.root).at(0)?.textContent;
      if (!words) return [];
      const letter = Object.assign(document.createElement("span"), { className: "plane-edge surface-letter", textContent: words });
      this.canvas.parentElement?.append(letter);
      return [{ letter, direction }];
    });
  }

  followPointer() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) this.turnBy(-event.movementX * TURN_PER_PX, event.movementY * TURN_PER_PX);
    });
    this.figure.addEventListener("keydown", (event) => {
      const [yaw, pitch] = ARROWS[event.key] ?? [0, 0];
      if (!yaw && !pitch) return;
      event.preventDefault();
      event.stopPropagation(); // here arrows do not step slices
      this.turnBy(yaw * TURN_PER_KEY, pitch * TURN_PER_KEY);
    });
  }

  /**
   * @param {number} yaw radians about the axis from feet to head
   * @param {number} pitch radians up
   */
  turnBy(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.min(STEEPEST, Math.max(-STEEPEST, this.pitch + pitch));
    this.ratio = COARSE;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.ratio = 1;
      this.draw();
    }, FINE_AFTER_MS);
    this.draw();
  }

  /**
   * Draws a threshold that is tried, once its masks are there.
   * @param {number} version of the masks
   */
  follow(version) {
    if (version !== this.version || this.planes.volume.channel !== this.channel) this.draw();
  }

  /** Draws at the next frame. */
  draw() {
    this.frame ||= requestAnimationFrame(() => this.drawNow());
  }

  /** To the right, up and away from the eye, each a direction of columns, rows and slices. Yaw 0 looks into the face. */
  get axes() {
    const [sin, cos, up, level] = [Math.sin(this.yaw), Math.cos(this.yaw), Math.sin(this.pitch), Math.cos(this.pitch)];
    return [[cos, sin, 0], [-sin * up, cos * up, level], [-sin * level, cos * level, -up]];
  }

  /* Half sides in units of the longest. */
  get box() {
    const { shape, spacing } = this.planes.space;
    const sides = [2, 1, 0].map((axis) => shape[axis] * spacing[axis]);
    return sides.map((side) => side / Math.max(...sides));
  }

  load() {
    const { gl, planes: { masks, volume, space } } = this;
    if (!gl || !masks || (masks.version === this.version && volume.channel === this.channel)) return Boolean(masks);
    if (masks.open.length && this.version >= 0) return true; // a preview is being made
    this.version = masks.version;
    this.channel = volume.channel;
    const { data, wide, tall, deep, skin } = textureOf({ shape: space.shape, gray: volume.gray, kinds: masks.kinds, tumor: TUMOR });
    this.skin = skin / 255;
    this.texel = [1 / wide, 1 / tall, 1 / deep];
    this.texture ??= gl.createTexture();
    gl.bindTexture(gl.TEXTURE_3D, this.texture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage3D(gl.TEXTURE_3D, 0, gl.RG8, wide, tall, deep, 0, gl.RG, gl.UNSIGNED_BYTE, data);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_3D, filter, gl.LINEAR);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) gl.texParameteri(gl.TEXTURE_3D, side, gl.CLAMP_TO_EDGE);
    return true;
  }

  drawNow() {
    this.frame = 0;
    const { gl, program, canvas } = this;
    const { clientWidth, clientHeight } = canvas;
    if (!gl || !program || !clientWidth || !this.load()) return;
    const [width, height] = [clientWidth, clientHeight].map((side) => Math.max(1, Math.round(side * this.ratio)));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const at = (/** @type {string} */ name) => gl.getUniformLocation(program, name);
    const { axes, box } = this;
    const reach = FILLED * Math.hypot(...box);
    const short = Math.min(width, height);
    const view = [reach * width / short, reach * height / short];
    gl.viewport(0, 0, width, height);
    gl.useProgram(program);
    gl.uniformMatrix3fv(at("turn"), false, axes.flat());
    gl.uniform3fv(at("box"), box);
    gl.uniform2fv(at("view"), view);
    gl.uniform3fv(at("texel"), this.texel);
    gl.uniform3fv(at("tumor"), TUMOR_RGB);
    gl.uniform1f(at("skin"), this.skin);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    this.placeLetters(axes, box, reach, Math.min(clientWidth, clientHeight));
    canvas.dataset.drawn = `${this.yaw.toFixed(3)} ${this.pitch.toFixed(3)}`;
  }

  /**
   * @param {number[][]} axes
   * @param {number[]} box
   * @param {number} reach
   * @param {number} short CSS pixels of the canvas' shorter side
   */
  placeLetters([right, up], box, reach, short) {
    const { clientWidth, clientHeight } = this.canvas;
    for (const { letter, direction } of this.letters) {
      const along = (/** @type {number[]} */ axis) => direction.reduce((sum, value, i) => sum + value * axis[i] * (box[i] + 0.12), 0);
      const [x, y] = [along(right), along(up)].map((value) => (value * short) / (2 * reach));
      letter.style.left = `${clientWidth / 2 + x}px`;
      letter.style.top = `${clientHeight / 2 - y}px`;
      letter.hidden = Math.hypot(x, y) < 0.1 * short; // it points at the eye, or away
    }
  }
}

/** @param {WebGL2RenderingContext} gl */
function link(gl) {
  const program = gl.createProgram();
  for (const [type, source] of /** @type {const} */ ([[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]])) {
    const shader = gl.createShader(type);
    if (!shader) throw new Error("The browser's WebGL was lost; load the page again.");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`WebGL refused the 3-D view: ${gl.getProgramInfoLog(program)}`);
  return program;
}
