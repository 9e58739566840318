/* Plays a stack, slice after slice and again from the first, until the reader steps or stops it. */
import { element } from "../core/elements.js";

const FRAME_MS = 100;

export class Cine {
  /** @param {{ index: number, stack: { count: number }, showSlice: (index: number) => Promise<void> }} viewer index: of the slice or plane in view */
  constructor(viewer) {
    this.viewer = viewer;
    this.button = element("#cine", HTMLButtonElement);
    this.timer = 0;
    this.button.addEventListener("click", () => this.toggle());
  }

  get isPlaying() {
    return this.timer !== 0;
  }

  toggle() {
    if (this.isPlaying) this.stop();
    else this.play();
  }

  play() {
    this.timer = setTimeout(() => this.step(), FRAME_MS);
    this.showState();
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.showState();
  }

  /* The next frame waits for this one to be drawn: a slow connection plays slower, and leaves nothing out. */
  async step() {
    const begun = performance.now();
    await this.viewer.showSlice((this.viewer.index + 1) % this.viewer.stack.count);
    if (this.isPlaying) this.timer = setTimeout(() => this.step(), Math.max(0, FRAME_MS - (performance.now() - begun)));
  }

  showState() {
    this.button.setAttribute("aria-pressed", `${this.isPlaying}`);
  }
}
