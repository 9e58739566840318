/* How the scan is shown: which channel, between which gray values, inverted. For viewing alone: mask, map and downloads
   stay as they are, and the server hears nothing of it. */
import { element, elements } from "../core/elements.js";
import { grayColors } from "./layers.js";
import { readPreference, writePreference } from "./preferences.js";

const FULL = 255;
/** @type {Record<string, [low: number, high: number]>} gray values that are shown black and white */
const PRESETS = { full: [0, FULL], bright: [128, FULL], middle: [64, 192], dark: [0, 128] };
// Shares of a slice's pixels above black that `auto` shows black and white: a few bright ones would darken all others.
const DARKEST = 0.01;
const BRIGHTEST = 0.995;

export class Display {
  /**
   * @param {number} defaultChannel that is shown of a scan in color; -1: the color
   * @param {() => void} onChange
   */
  constructor(defaultChannel, onChange) {
    this.defaultChannel = defaultChannel;
    this.onChange = onChange;
    this.low = 0;
    this.high = FULL;
    this.isInverted = false;
    this.hasColor = false; // until a slice shows that its channels differ
    this.select = element("#channel", HTMLSelectElement);
    this.center = element("#window-center", HTMLInputElement);
    this.width = element("#window-width", HTMLInputElement);
    this.invertButton = element("#invert", HTMLButtonElement);
    this.select.value = readPreference("channel", `${defaultChannel}`);
    if (!this.select.value) this.select.value = `${defaultChannel}`;
    this.select.addEventListener("change", () => {
      writePreference("channel", this.select.value);
      this.changed();
    });
    for (const field of [this.center, this.width]) field.addEventListener("change", () => this.setWindow(Number(this.center.value), Number(this.width.value)));
    this.invertButton.addEventListener("click", () => this.invert());
    for (const button of elements("[data-preset]", HTMLButtonElement)) {
      button.addEventListener("click", () => this.usePreset(button.dataset.preset ?? "full"));
    }
  }

  /** The channel that is shown in gray; -1: all three as colors. Of a gray scan all are the same. */
  get channel() {
    return this.hasColor ? Number(this.select.value) : 0;
  }

  /** @returns {string} of the channel, as the list has it */
  get channelName() {
    return this.hasColor ? (this.select.selectedOptions[0]?.textContent ?? "") : "gray";
  }

  /** @param {Uint8ClampedArray} rgba of a slice that has arrived */
  learn(rgba) {
    this.rgba = rgba;
    if (this.hasColor || !hasColor(rgba)) return;
    this.hasColor = true;
    this.select.disabled = false;
  }

  nextChannel() {
    if (!this.hasColor) return;
    this.select.selectedIndex = (this.select.selectedIndex + 1) % this.select.options.length;
    writePreference("channel", this.select.value);
    this.changed();
  }

  /**
   * Shows black at center - width / 2, white at center + width / 2.
   * @param {number} center gray value, brought to 0 to 255
   * @param {number} width brought to 1 to 255
   */
  setWindow(center, width) {
    const half = Math.min(FULL, Math.max(1, width || 1)) / 2;
    const middle = Math.min(FULL, Math.max(0, center || 0));
    this.low = middle - half;
    this.high = middle + half;
    this.changed();
  }

  /**
   * @param {number} brighter gray values
   * @param {number} wider
   */
  moveWindow(brighter, wider) {
    this.setWindow((this.low + this.high) / 2 - brighter, this.high - this.low + wider);
  }

  /** @param {string} name full, bright, middle, dark, or auto: what the slice in view holds */
  usePreset(name) {
    const [low, high] = name === "auto" && this.rgba ? rangeOf(this.rgba, Math.max(0, this.channel)) : (PRESETS[name] ?? PRESETS.full);
    this.low = low;
    this.high = high;
    this.changed();
  }

  invert() {
    this.isInverted = !this.isInverted;
    this.changed();
  }

  changed() {
    this.center.value = `${Math.round((this.low + this.high) / 2)}`;
    this.width.value = `${Math.round(this.high - this.low)}`;
    this.invertButton.setAttribute("aria-pressed", `${this.isInverted}`);
    this.onChange();
  }

  /** The channel that lies in gray under colors of ours, which false colors would hide. */
  get grayChannel() {
    return this.channel >= 0 ? this.channel : Math.max(0, this.defaultChannel);
  }

  /**
   * Paints a slice as it is to be seen.
   * @param {import("./layers.js").Layer} layer
   * @param {Uint8ClampedArray} rgba
   * @param {number} [channel]
   */
  paint(layer, rgba, channel = this.channel) {
    const shown = this.table();
    const { pixels } = layer;
    if (channel >= 0) {
      const colors = grayColors(shown);
      for (let i = 0, at = channel; i < pixels.length; i++, at += 4) pixels[i] = colors[rgba[at]];
    } else {
      const { data } = layer.image;
      for (let at = 0; at < data.length; at += 4) {
        data[at] = shown[rgba[at]];
        data[at + 1] = shown[rgba[at + 1]];
        data[at + 2] = shown[rgba[at + 2]];
        data[at + 3] = 255;
      }
    }
    layer.show();
  }

  /** What is shown for each of the 256 gray values. */
  table() {
    const span = Math.max(1e-9, this.high - this.low);
    return Uint8ClampedArray.from({ length: 256 }, (_, value) => {
      const shown = Math.min(255, Math.max(0, Math.round((255 * (value - this.low)) / span)));
      return this.isInverted ? 255 - shown : shown;
    });
  }
}

/** @param {Uint8ClampedArray} rgba */
function hasColor(rgba) {
  for (let at = 0; at < rgba.length; at += 4) if (rgba[at] !== rgba[at + 1] || rgba[at] !== rgba[at + 2]) return true;
  return false;
}

/**
 * @param {Uint8ClampedArray} rgba
 * @param {number} channel
 * @returns {[number, number]}
 */
function rangeOf(rgba, channel) {
  const pixels = new Uint32Array(256);
  for (let at = channel; at < rgba.length; at += 4) pixels[rgba[at]] += 1;
  pixels[0] = 0;
  const total = pixels.reduce((sum, count) => sum + count, 0);
  if (!total) return [0, FULL];
  let below = 0;
  let low = -1;
  for (let value = 0; value < 256; value++) {
    below += pixels[value];
    if (low < 0 && below > DARKEST * total) low = value;
    if (below >= BRIGHTEST * total) return [low, Math.max(low + 1, value)];
  }
  return [0, FULL];
}
