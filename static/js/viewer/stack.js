/* The slices of one segmentation: scan pictures and probability maps, fetched when wanted and kept. */

const SCANS_KEPT = 48; // decoded pictures take width x height x 4 bytes; maps a quarter of it, and all of them are kept
const AT_ONCE = 3;

async function fetchBitmap(url) {
  const response = await fetch(url);
  if (!response.ok) {
    const body = await response.json().catch(() => null);
    throw new Error(body?.message ?? `A picture could not be loaded (status ${response.status}).`);
  }
  // Without conversion, because the values of a map are numbers, not colors.
  return createImageBitmap(await response.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
}

/** The red channel of a gray picture, one byte a pixel. */
function bytesOf(bitmap) {
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const bytes = new Uint8Array(width * height);
  for (let i = 0; i < bytes.length; i++) bytes[i] = data[4 * i];
  return bytes;
}

export class Stack {
  constructor({ scanId, segmentationId, count }) {
    this.address = (name, index) => `/api/v1/scans/${scanId}/${name}.png?slice=${index}&segmentation=${segmentationId}`;
    this.count = count;
    this.scans = new Map(); // index -> Promise<ImageBitmap>, least recently used first
    this.requests = new Map(); // index -> Promise<Uint8Array>
    this.maps = new Array(count).fill(null); // index -> Uint8Array, once it is here
  }

  scan(index) {
    const known = this.scans.get(index);
    const picture = known ?? fetchBitmap(this.address("scan", index));
    if (!known) picture.catch(() => this.scans.delete(index));
    this.scans.delete(index);
    this.scans.set(index, picture);
    if (this.scans.size > SCANS_KEPT) this.scans.delete(this.scans.keys().next().value);
    return picture;
  }

  /** The probability map of a slice: Uint8Array of width x height, round(255 p). */
  map(index) {
    if (!this.requests.has(index)) {
      const request = fetchBitmap(this.address("probability", index)).then((bitmap) => {
        this.maps[index] = bytesOf(bitmap);
        bitmap.close();
        return this.maps[index];
      });
      request.catch(() => this.requests.delete(index));
      this.requests.set(index, request);
    }
    return this.requests.get(index);
  }

  /** Fetches every map, those near `start` first; `onMap(index)` after each. Maps that fail are fetched when next asked for. */
  async mapsInBackground(start, onMap) {
    const order = Array.from({ length: this.count }, (_, i) => i).sort((a, b) => Math.abs(a - start) - Math.abs(b - start));
    const lane = async () => {
      for (let index = order.shift(); index !== undefined; index = order.shift()) {
        await this.map(index).then(() => onMap(index), () => {});
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
  }

  /** Fetches the pictures beside `index`, so that a step to them does not wait. */
  prefetchScans(index) {
    for (const near of [index + 1, index - 1, index + 2]) {
      if (near >= 0 && near < this.count) this.scan(near).catch(() => {});
    }
  }
}
