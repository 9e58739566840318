/* The slices of one segmentation: scan pictures and probability maps, fetched when wanted and kept. */
import { context2d } from "./canvas.js";

const SCANS_KEPT = 48; // decoded pictures take width x height x 4 bytes; maps a quarter of it, and all of them are kept
const AT_ONCE = 3;

/** @param {string} url */
async function fetchBitmap(url) {
  const response = await fetch(url);
  if (!response.ok) {
    const body = await response.json().catch(() => null);
    throw new Error(body?.message ?? `A picture could not be loaded (status ${response.status}).`);
  }
  // Without conversion, because the values of a map are numbers, not colors.
  return createImageBitmap(await response.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
}

/**
 * The red channel of a gray picture, one byte a pixel.
 * @param {ImageBitmap} bitmap
 */
function bytesOf(bitmap) {
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = context2d(canvas, { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const bytes = new Uint8Array(width * height);
  for (let i = 0; i < bytes.length; i++) bytes[i] = data[4 * i];
  return bytes;
}

export class Stack {
  /** @param {{ scanId: string, segmentationId: string, count: number }} scan count: of its slices */
  constructor({ scanId, segmentationId, count }) {
    this.scanId = scanId;
    this.segmentationId = segmentationId;
    this.count = count;
    /** @type {Map<number, Promise<ImageBitmap>>} by slice, least recently used first */
    this.scans = new Map();
    /** @type {Map<number, Promise<Uint8Array>>} by slice */
    this.requests = new Map();
    /** @type {(Uint8Array | null)[]} by slice; null: not here yet */
    this.maps = new Array(count).fill(null);
  }

  /**
   * @param {string} picture
   * @param {number} index of the slice
   */
  address(picture, index) {
    return `/api/v1/scans/${this.scanId}/${picture}.png?slice=${index}&segmentation=${this.segmentationId}`;
  }

  /**
   * The picture of a slice.
   * @param {number} index
   */
  scan(index) {
    const known = this.scans.get(index);
    const picture = known ?? fetchBitmap(this.address("scan", index));
    if (!known) picture.catch(() => this.scans.delete(index));
    this.scans.delete(index);
    this.scans.set(index, picture);
    const [oldest] = this.scans.keys();
    if (this.scans.size > SCANS_KEPT) this.scans.delete(oldest);
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
    const request = fetchBitmap(this.address("probability", index)).then((bitmap) => {
      const probabilityU8 = bytesOf(bitmap);
      bitmap.close();
      this.maps[index] = probabilityU8;
      return probabilityU8;
    });
    request.catch(() => this.requests.delete(index));
    this.requests.set(index, request);
    return request;
  }

  /**
   * Fetches every map, those near `start` first; `onMap(index)` after each. Maps that fail are fetched when next asked for.
   * @param {number} start
   * @param {(index: number) => void} onMap
   */
  async mapsInBackground(start, onMap) {
    const order = Array.from({ length: this.count }, (_, i) => i).sort((a, b) => Math.abs(a - start) - Math.abs(b - start));
    const lane = async () => {
      for (let index = order.shift(); index !== undefined; index = order.shift()) {
        await this.map(index).then(() => onMap(index), () => {});
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
