/* Calls to /api/v1. One error class, whose message is a sentence for the reader. */

export const ROOT = "/api/v1";

export class ApiError extends Error {
  /** status 0: the server was not reached. */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  get isOffline() {
    return this.status === 0;
  }
}

export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.content ?? "";
}

/** The error that a JSON answer of the API describes, or a plain one where something in between answered. */
export function errorFrom(status, body) {
  if (status === 0) return new ApiError(0, "offline", "The server cannot be reached.");
  if (body?.message) return new ApiError(status, body.code ?? "error", body.message);
  if (status === 413) return new ApiError(413, "limit", "The file is larger than this server accepts.");
  return new ApiError(status, "error", `The server answered with status ${status}.`);
}

/** Sends one request and returns the JSON of its answer (null where it has none). Throws ApiError; AbortError passes through. */
export async function request(method, path, { json, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(ROOT + path, { method, headers, signal, body: json === undefined ? undefined : JSON.stringify(json) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw errorFrom(0);
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw errorFrom(response.status, body);
  return body;
}

export const getScan = (id, wait = 0, signal) => request("GET", `/scans/${id}${wait ? `?wait=${wait}` : ""}`, { signal });
export const getRuns = (id) => request("GET", `/scans/${id}/segmentations`);
export const cancelRun = (id) => request("POST", `/segmentations/${id}/cancel`);
export const retryRun = (id) => request("POST", `/segmentations/${id}/retry`);
export const saveThreshold = (scanId, threshold, model) =>
  request("POST", `/scans/${scanId}/segmentations`, { json: { threshold, ...(model && { model }) } });
