/* Posts a form to /api/v1 by XMLHttpRequest, because fetch does not report the progress of an upload. */
import { csrfToken, errorFrom, ROOT } from "./api.js";

/**
 * `onProgress(fraction)` runs from 0 to 1. Resolves to the status and the JSON of the answer (null where it has none);
 * rejects with ApiError where the server was not reached, and with the signal's reason where it aborted.
 * @template T
 * @param {string} path below ROOT
 * @param {FormData} form
 * @param {{ onProgress: (fraction: number) => void, signal: AbortSignal }} options
 * @returns {Promise<{ status: number, body: T | null }>}
 */
export function postForm(path, form, { onProgress, signal }) {
  const xhr = new XMLHttpRequest();
  return new Promise((resolve, reject) => {
    xhr.upload.addEventListener("progress", (event) => event.lengthComputable && onProgress(event.loaded / event.total));
    xhr.addEventListener("error", () => reject(errorFrom(0)));
    xhr.addEventListener("abort", () => reject(signal.reason));
    xhr.addEventListener("load", () => {
      let body = null;
      try {
        body = JSON.parse(xhr.responseText);
      } catch {
        // a proxy answered in the server's place; errorFrom has a sentence for its status
      }
      resolve({ status: xhr.status, body });
    });
    signal.addEventListener("abort", () => xhr.abort());
    xhr.open("POST", ROOT + path);
    xhr.setRequestHeader("Accept", "application/json");
    xhr.setRequestHeader("X-CSRFToken", csrfToken());
    xhr.send(form);
  });
}
