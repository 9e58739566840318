/* Posts a form to /api/v1 by XMLHttpRequest, because fetch does not report the progress of an upload. */
import { ApiError, csrfToken, errorFrom, isSentAway, ROOT } from "./api.js";

/** A new Idempotency-Key: what is sent again under it is done once. (`randomUUID` is kept from pages without TLS.) */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/* Where the server was not reached, or does not know itself what became of the request, or a proxy answered in its place. */
const UNKNOWN = new Set(["offline", "error", "internal", "database_unavailable", "idempotency_key_in_use"]);

/**
 * True where what was sent may have arrived all the same.
 * @param {unknown} error
 */
export const mayHaveArrived = (error) => error instanceof ApiError && UNKNOWN.has(error.code) && (error.isOffline || error.status === 409 || error.status >= 500);

/**
 * `onProgress(fraction)` runs from 0 to 1. Resolves to the status and the JSON of the answer (null where it has none);
 * rejects with ApiError where the server was not reached, and with the signal's reason where it aborted.
 * @template T
 * @param {string} path below ROOT
 * @param {FormData} form
 * @param {{ key: string, onProgress: (fraction: number) => void, signal: AbortSignal }} options key: of `newKey`
 * @returns {Promise<{ status: number, body: T | null }>}
 */
export function postForm(path, form, { key, onProgress, signal }) {
  const xhr = new XMLHttpRequest();
  return new Promise((resolve, reject) => {
    xhr.upload.addEventListener("progress", (event) => event.lengthComputable && onProgress(event.loaded / event.total));
    xhr.addEventListener("error", async () => reject(errorFrom((await isSentAway()) ? 401 : 0)));
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
    xhr.setRequestHeader("Idempotency-Key", key);
    xhr.setRequestHeader("X-CSRFToken", csrfToken());
    xhr.send(form);
  });
}
