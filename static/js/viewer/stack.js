/* The slices of one segmentation: scan pictures and probability maps, fetched when wanted and kept. */
import { context2d } from "./canvas.js";

// Slices take width x height x 4 bytes, maps a quarter of it; all maps are kept, and of the slices what fits in here.
const SCAN_BYTES_KEPT = 256 * 2 ** 20;
const LEAST_SCANS_KEPT = 6;
const AT_ONCE = 3;
const GONE = 404;

/** A picture that is not there any more; the others of its slice may be. */
export class PictureGone extends Error {}

/**
 * The pixels of a picture, RGBA, row by row.
 * @param {string} url
 */
async function fetchPixels(url) {
  const response = await fetch(url);
  if (!response.ok) {
    const body = await response.json().catch(() => null);
    const words = body?.message ?? `A picture could not be loaded (status ${response.status}).`;
    throw response.status === GONE ? new PictureGone(words) : new Error(words);
  }
  // Without conversion, because the values of a map are numbers, not colors.
  const bitmap = await createImageBitmap(await response.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = context2d(canvas, { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height).data;
}

/**
 * The red channel, one byte a pixel.
 * @param {Uint8ClampedArray} rgba
 */
function redOf(rgba) {
  const bytes = new Uint8Array(rgba.length / 4);
  for (let i = 0; i < bytes.length; i++) bytes[i] = rgba[4 * i];
  return bytes;
}

export class Stack {
  /**
   * @param {{ address: string, count: number, pixels: number, truthSlices: number[] }} scan
   *   address: of a picture, with {picture} and {slice} in it; count: of its slices; pixels: of one; truthSlices: that have
   *   an expert's mask
   */
  constructor({ address, count, pixels, truthSlices }) {
    this.truthSlices = new Set(truthSlices);
    /** @type {Map<number, Promise<Uint8Array>>} by slice */
    this.truths = new Map();
    this.scansKept = Math.max(LEAST_SCANS_KEPT, Math.floor(SCAN_BYTES_KEPT / (4 * pixels)));
    this.template = address;
    this.count = count;
    /** @type {Map<number, Promise<Uint8ClampedArray>>} RGBA by slice, least recently used first */
    this.scans = new Map();
    /** @type {Map<number, Promise<Uint8Array>>} by slice */
    this.requests = new Map();
    /** @type {(Uint8Array | null)[]} by slice; null: not here yet */
    this.maps = new Array(count).fill(null);
    /** @type {(Uint8Array | null)[]} expert's masks by slice; null: not here yet, or none */
    this.experts = new Array(count).fill(null);
  }

  /**
   * @param {string} picture
   * @param {number} index of the slice
   */
  address(picture, index) {
    return this.template.replace("{picture}", picture).replace("{slice}", `${index}`);
  }

  /**
   * The picture of a slice: RGBA, row by row.
   * @param {number} index
   */
  scan(index) {
    const known = this.scans.get(index);
    const picture = known ?? fetchPixels(this.address("scan", index));
    if (!known) picture.catch(() => this.scans.delete(index));
    this.scans.delete(index);
    this.scans.set(index, picture);
    const [oldest] = this.scans.keys();
    if (this.scans.size > this.scansKept) this.scans.delete(oldest);
    return picture;
  }

  /**
   * The probability map of a slice: round(255 p), row by row.
   * @param {number} index
   * @returns {Promise<Uint8Array>}
   */
  map(index) {
    const known = this.requests.get(index);
    if (known) return known;
    const request = fetchPixels(this.address("probability", index)).then((rgba) => {
      const probabilityU8 = redOf(rgba);
      this.maps[index] = probabilityU8;
      return probabilityU8;
    });
    request.catch(() => this.requests.delete(index));
    this.requests.set(index, request);
    return request;
  }

  /**
   * The expert's mask of a slice, 255 where tumor, row by row; null where it has none.
   * @param {number} index
   * @returns {Promise<Uint8Array | null>}
   */
  async truth(index) {
    if (!this.truthSlices.has(index)) return null;
    const known = this.truths.get(index);
    if (known) return known;
    const request = fetchPixels(this.address("truth", index)).then((rgba) => (this.experts[index] = redOf(rgba)));
    request.catch(() => this.truths.delete(index));
    this.truths.set(index, request);
    return request;
  }

  /**
   * Fetches every map and expert's mask, and the slices that are kept, those near `start` first; `onMap(index)` after each. What fails is fetched
   * when next asked for.
   * @param {number} start
   * @param {(index: number) => void} onMap
   */
  async mapsInBackground(start, onMap) {
    const order = Array.from({ length: this.count }, (_, i) => i).sort((a, b) => Math.abs(a - start) - Math.abs(b - start));
    const near = new Set(order.slice(0, this.scansKept));
    const lane = async () => {
      for (let index = order.shift(); index !== undefined; index = order.shift()) {
        await Promise.all([this.map(index), this.truth(index)]).then(() => onMap(index), () => {});
        if (near.has(index)) await this.scan(index).catch(() => {});
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  }

  /**
   * Fetches the pictures beside a slice, so that a step to them does not wait.
   * @param {number} index
   */
  prefetchScans(index) {
    for (const near of [index + 1, index - 1, index + 2]) {
      if (near >= 0 && near < this.count) this.scan(near).catch(() => {});
    }
  }
}
