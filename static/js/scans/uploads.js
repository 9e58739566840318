/* Sends one file with XMLHttpRequest, because fetch does not report the progress of an upload. */
import { ROOT, csrfToken, errorFrom } from "../core/api.js";

/**
 * Uploads one file. `onProgress(fraction)` runs from 0 to 1.
 * Returns {promise, abort}; the promise gives the Scan, or rejects with ApiError (or AbortError).
 */
export function uploadFile(file, onProgress) {
  const xhr = new XMLHttpRequest();
  const promise = new Promise((resolve, reject) => {
    xhr.upload.addEventListener("progress", (event) => event.lengthComputable && onProgress(event.loaded / event.total));
    xhr.addEventListener("error", () => reject(errorFrom(0)));
    xhr.addEventListener("abort", () => reject(new DOMException("Upload cancelled", "AbortError")));
    xhr.addEventListener("load", () => {
      let body = null;
      try {
        body = JSON.parse(xhr.responseText);
      } catch {
        // something in between answered; errorFrom says so
      }
      const scan = body?.scans?.[0];
      if (xhr.status < 300 && scan) resolve(scan);
      else reject(errorFrom(body?.rejected?.[0] ? 422 : xhr.status, body?.rejected?.[0] ?? body));
    });
    const form = new FormData();
    form.append("file", file, file.name);
    xhr.open("POST", `${ROOT}/scans`);
    xhr.setRequestHeader("Accept", "application/json");
    xhr.setRequestHeader("X-CSRFToken", csrfToken());
    xhr.send(form);
  });
  return { promise, abort: () => xhr.abort() };
}
