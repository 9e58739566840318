/* The uploads of the portal: one after the other, a scan each, which is one file or the slices of a stack. */
/** @import { ErrorBody, Rejected, Scan, UploadAnswer } from "../core/types.js" */
/** @import { PathFile } from "../core/folders.js" */
/** @import { Unsent } from "../core/unsent.js" */
import { errorFrom } from "../core/api.js";
import { postForm } from "../core/uploads.js";
import { zip } from "../core/zip.js";

export const MOST_PARTS = 950; // of one request, which has a thousand with its fields

/** @param {string} path */
export const isZip = (path) => path.toLowerCase().endsWith(".zip");

/**
 * The path under which a file is sent: a scan of one file is called as on its card, which may have its folder's name before its own,
 * and so is its expert's mask, which is found by it.
 * @param {string} path
 * @param {Upload} upload
 */
function pathSent(path, { name, files }) {
  const lastOf = (/** @type {string} */ whole) => whole.replace(/^.*[/\\]/s, "");
  const own = lastOf(files[0].path);
  const before = files.length === 1 && name.endsWith(` ${own}`) ? name.slice(0, -own.length) : "";
  return path.slice(0, path.length - lastOf(path).length) + before + lastOf(path);
}

/**
 * Uploads the files of one scan; throws ApiError where none was accepted, and the signal's reason where it aborted.
 * Slices of different sizes come back as several scans.
 * @param {Upload} upload
 * @param {AbortSignal} signal
 * @returns {Promise<{ scans: Scan[], rejected: Rejected[] }>}
 */
async function uploadScan(upload, signal) {
  const { key, name, files, masks, choices, onProgress } = upload;
  const form = new FormData();
  for (const [field, value] of Object.entries(choices)) if (value) form.append(field, value);
  // More files than a request has parts are packed: they come out of the zip as they are.
  if (files.length > MOST_PARTS) form.append("file", await zip(files, { signal }), `${name}.zip`);
  else for (const { path, file } of [...files, ...masks]) form.append("file", file, pathSent(path, upload));
  if (files.length > 1 && files.length <= MOST_PARTS) form.append("group", "stack");
  else if (files.some(({ path }) => isZip(path))) form.append("group", "auto"); // of what is in it
  /** @type {{ status: number, body: (UploadAnswer & ErrorBody) | null }} */
  const { status, body } = await postForm("/scans", form, { key, onProgress, signal });
  if (status < 300 && body?.scans?.length) return { scans: body.scans, rejected: body.rejected ?? [] };
  const [first] = body?.rejected ?? [];
  throw errorFrom(first ? 422 : status, first ?? body);
}

/**
 * @typedef {object} Upload
 * @property {string} key under which it is stored once, however often it is sent
 * @property {string} name of the scan
 * @property {PathFile[]} files its slices, in their order
 * @property {PathFile[]} masks an expert's, of some of them
 * @property {{ model: string, threshold: string, volume: string, study: string }} choices of the run, which volume of a 4-D file, and the name of its study; empty: the default, none
 * @property {() => boolean} isWanted false where its card was taken away before its turn
 * @property {(fraction: number) => void} onProgress
 * @property {(answer: { scans: Scan[], rejected: Rejected[] }) => void} onDone
 * @property {(error: unknown) => void} onFailed
 */

/** Scans are stored, and stand in line, in the order in which they were chosen. */
export class UploadQueue {
  constructor() {
    /** @type {Upload[]} */
    this.waiting = [];
    /** @type {Upload | null} */
    this.current = null;
    this.stop = new AbortController();
    this.total = 0; // files since nothing was waiting
  }

  /** @param {Upload} upload */
  add(upload) {
    if (!this.current) this.total = 0;
    this.total += upload.files.length + upload.masks.length;
    this.waiting.push(upload);
    if (!this.current) this.run();
  }

  /** @param {Upload} upload that is sent now, or waits */
  cancel(upload) {
    this.waiting = this.waiting.filter((other) => other !== upload);
    if (upload === this.current) this.stop.abort();
  }

  async run() {
    for (let upload = this.waiting.shift(); upload; upload = this.waiting.shift()) {
      if (!upload.isWanted()) continue;
      this.current = upload;
      this.stop = new AbortController();
      try {
        upload.onDone(await uploadScan(upload, this.stop.signal));
      } catch (error) {
        upload.onFailed(error);
      }
    }
    this.current = null;
  }

  get isBusy() {
    return this.current !== null;
  }

  /**
   * What would be lost if the page were left now.
   * @returns {Unsent}
   */
  unsent() {
    const uploads = [...(this.current ? [this.current] : []), ...this.waiting].filter((upload) => upload.isWanted());
    return { names: uploads.flatMap(({ files, masks }) => [...files, ...masks].map(({ file }) => file.name)), total: this.total };
  }
}
