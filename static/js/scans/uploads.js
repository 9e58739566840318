/* The upload of one scan. */
/** @import { ErrorBody, Scan, UploadAnswer } from "../core/types.js" */
import { errorFrom } from "../core/api.js";
import { postForm } from "../core/uploads.js";

/**
 * Uploads one file; throws ApiError where it was not accepted, and the signal's reason where it aborted.
 * @param {File} file
 * @param {{ onProgress: (fraction: number) => void, signal: AbortSignal }} options
 * @returns {Promise<Scan>}
 */
export async function uploadFile(file, options) {
  const form = new FormData();
  form.append("file", file, file.name);
  /** @type {{ status: number, body: (UploadAnswer & ErrorBody) | null }} */
  const { status, body } = await postForm("/scans", form, options);
  const scan = body?.scans?.[0];
  if (status < 300 && scan) return scan;
  const rejected = body?.rejected?.[0];
  throw errorFrom(rejected ? 422 : status, rejected ?? body);
}
