/* Calls to /api/v1. One error class, whose message is a sentence for the reader. */
/** @import { ErrorBody, Scan, SegmentationList } from "./types.js" */
import { findElement } from "./elements.js";

export const ROOT = "/api/v1";

export class ApiError extends Error {
  /**
   * @param {number} status of HTTP; 0: the server was not reached
   * @param {string} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  get isOffline() {
    return this.status === 0;
  }
}

/**
 * True where a request was stopped by whoever sent it.
 * @param {unknown} error
 */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";

/**
 * True where the server answered with this status.
 * @param {unknown} error
 * @param {number} status
 */
export const hasStatus = (error, status) => error instanceof ApiError && error.status === status;

/**
 * True where the API refused with this code.
 * @param {unknown} error
 * @param {string} code
 */
export const hasCode = (error, code) => error instanceof ApiError && error.code === code;

/**
 * The sentence of whatever was thrown.
 * @param {unknown} error
 */
export const messageOf = (error) => (error instanceof Error ? error.message : String(error));

export function csrfToken() {
  return findElement('meta[name="csrf-token"]', HTMLMetaElement)?.content ?? "";
}

/**
 * The error that a JSON answer of the API describes, or a plain one where a proxy answered in its place.
 * @param {number} status
 * @param {ErrorBody | null} [body]
 */
export function errorFrom(status, body) {
  if (status === 0) return new ApiError(0, "offline", "The server cannot be reached.");
  // What the API says of a login is for programs, which send tokens.
  if (status === 401) return new ApiError(401, body?.code ?? "unauthorized", "You are not logged in any more. Log in again in another tab, then try again here.");
  if (body?.message) return new ApiError(status, body.code ?? "error", body.message);
  if (status === 413) return new ApiError(413, "limit", "A server in front of the portal takes nothing this large, whatever the portal's own limit is. Who runs it can let more through (in nginx: client_max_body_size).");
  return new ApiError(status, "error", `The server answered with status ${status}.`);
}

/**
 * True where a login in front of the portal has ended, and sends every request to a page of its own: of another host, which this
 * page may not ask, so that all calls fail as if nobody were there.
 */
export const isSentAway = async () => {
  const answer = await fetch("/healthz", { redirect: "manual", cache: "no-store" }).catch(() => null);
  return answer?.type === "opaqueredirect";
};

/**
 * Sends one request and returns the JSON of its answer (null where it has none). Throws ApiError; AbortError passes through.
 * @template T
 * @param {string} method
 * @param {string} path below ROOT
 * @param {{ json?: object, signal?: AbortSignal }} [options]
 * @returns {Promise<T>}
 */
export async function request(method, path, { json, signal } = {}) {
  const headers = new Headers({ Accept: "application/json" });
  if (method !== "GET") headers.set("X-CSRFToken", csrfToken());
  if (json !== undefined) headers.set("Content-Type", "application/json");
  let response;
  try {
    response = await fetch(ROOT + path, { method, headers, signal, body: json === undefined ? undefined : JSON.stringify(json) });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw errorFrom(0);
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw errorFrom(response.status, body);
  return body;
}

/**
 * A scan; with `wait`, its answer comes when its job has ended, or after that many seconds.
 * @param {string} id
 * @param {number} [wait]
 * @param {AbortSignal} [signal]
 * @param {string} [segmentation] of its runs; empty: the one that the portal shows
 * @returns {Promise<Scan>}
 */
export function getScan(id, wait = 0, signal, segmentation = "") {
  const query = new URLSearchParams({ ...(wait && { wait: `${wait}` }), ...(segmentation && { segmentation }) });
  return request("GET", `/scans/${id}${`${query}` && `?${query}`}`, { signal });
}

/**
 * The scans that wait in line, the first ones first.
 * @returns {Promise<Scan[]>}
 */
export async function getLine() {
  /** @type {{ scans: Scan[] }} */
  const { scans } = await request("GET", "/scans?status=queued&sort=oldest&limit=200");
  return scans;
}

/**
 * @param {string} id of the scan
 * @returns {Promise<SegmentationList>}
 */
export const getRuns = (id) => request("GET", `/scans/${id}/segmentations`);

/** @param {string} id of the segmentation */
export const cancelRun = (id) => request("POST", `/segmentations/${id}/cancel`);

/** @param {string} id of the segmentation */
export const retryRun = (id) => request("POST", `/segmentations/${id}/retry`);

/**
 * Saves another threshold as a new run. Without a model the stored map is used, and the network does not run.
 * @param {string} scanId
 * @param {number} threshold
 * @param {string} [model]
 */
export const saveThreshold = (scanId, threshold, model) =>
  request("POST", `/scans/${scanId}/segmentations`, { json: { threshold, ...(model && { model }) } });
