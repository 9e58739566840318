/* The voxels of a stack in memory: gray values, probabilities and the expert's mask, a byte each. The server averages what
   is larger than 33.5 million voxels, so three of them take 100 MB at most, whatever was uploaded. */
/** @import { Space } from "./space.js" */
import { ROOT, errorFrom } from "../../core/api.js";

export class Volume {
  /**
   * @param {Space} space
   * @param {{ scanId: string, segmentationId: string, hasTruth: boolean }} scan
   */
  constructor(space, { scanId, segmentationId, hasTruth }) {
    this.space = space;
    this.scanId = scanId;
    this.segmentationId = segmentationId;
    this.gray = new Uint8Array(0);
    this.probabilityU8 = new Uint8Array(0);
    /** @type {Uint8Array | null} */
    this.truth = null;
    this.hasTruth = hasTruth;
    this.channel = -1; // of `gray`
    this.channelWanted = -1;
  }

  /**
   * Fetches everything. Throws ApiError, TypeError.
   * @param {number} channel
   * @param {(share: number) => void} onProgress 0 to 1
   */
  async load(channel, onProgress) {
    const wanted = [`content=scan&channel=${channel}`, `content=probability&segmentation=${this.segmentationId}`, ...(this.hasTruth ? ["content=truth"] : [])];
    const shares = wanted.map(() => 0);
    this.channelWanted = channel;
    const [gray, probabilityU8, truth] = await Promise.all(wanted.map((query, i) => this.fetch(query, (share) => {
      shares[i] = share;
      onProgress(shares.reduce((sum, item) => sum + item, 0) / wanted.length);
    })));
    this.gray = gray;
    this.probabilityU8 = probabilityU8;
    this.truth = truth ?? null;
    this.channel = channel;
  }

  /**
   * Another channel's gray values in the place of those that are there; false where they are there, or on their way. Throws ApiError, TypeError.
   * @param {number} channel
   */
  async show(channel) {
    if (channel === this.channelWanted) return false;
    this.channelWanted = channel;
    const gray = await this.fetch(`content=scan&channel=${channel}`, () => {}).catch((error) => {
      if (channel === this.channelWanted) this.channelWanted = this.channel; // the next call tries again
      throw error;
    });
    if (channel !== this.channelWanted) return false; // another one was chosen since
    this.gray = gray;
    this.channel = channel;
    return true;
  }

  /**
   * @param {string} query
   * @param {(share: number) => void} onProgress
   */
  async fetch(query, onProgress) {
    const response = await fetch(`${ROOT}/scans/${this.scanId}/voxels.bin?${query}`);
    if (!response.ok || !response.body) throw errorFrom(response.status, await response.json().catch(() => null));
    const bytes = new Uint8Array(this.space.voxels);
    const reader = response.body.getReader();
    let size = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (size + part.value.length > bytes.length) throw new Error("The scan has other voxels than this page expects; load it again.");
      bytes.set(part.value, size);
      size += part.value.length;
      onProgress(size / bytes.length);
    }
    if (size < bytes.length) throw new TypeError("The connection ended before all voxels were here.");
    return bytes;
  }
}
