/* Watches a job until it ends, by long polling: the server answers as soon as the state is final. */
/** @import { Scan } from "./types.js" */
import { getScan, hasCode, hasStatus, isAbort } from "./api.js";
import { listedInLine, noteInLine } from "./line.js";

/** @param {string | undefined} status */
export const isOver = (status) => ["succeeded", "failed", "cancelled"].includes(status ?? "");

/* While a job waits in line its place changes before the job ends, so the wait is short; once it runs, long. */
const WAIT_S = new Map([["queued", 2], ["running", 25]]);
const CROWDED_WAIT_S = new Map([["queued", 0], ["running", 1]]); // while other jobs want to ask as well
const CROWDED_PAUSE_MS = 1500; // so that a place in line is at most two seconds old, however many wait
/* A browser holds six connections to one server: more long polls would keep uploads and pictures waiting. */
const AT_ONCE = 3;
const STACK_WAIT_S = 1; // a running stack says how far it is
const MANY_SLICES = 8;
const PAUSE_MS = 400; // between two answers, should the server answer a long poll at once
const RETRY_MS = 3000; // after a failed request
const BUSY_MS = 5000; // while as many wait as may

let asking = 0;
/** @type {(() => void)[]} those that wait for their turn to ask */
const line = [];

/**
 * Runs `ask` as one of at most AT_ONCE.
 * @template T
 * @param {() => Promise<T>} ask
 */
async function inTurn(ask) {
  if (asking >= AT_ONCE) await new Promise((resolve) => line.push(() => resolve(null)));
  else asking += 1;
  try {
    return await ask();
  } finally {
    const next = line.shift();
    if (next) next(); // takes this turn over: the number of those that ask stays as it is
    else asking -= 1;
  }
}

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Calls `onScan(scan)` at every answer until the job has ended; `onOffline(error)` at every request that failed.
 * Returns the last scan, or null where the scan no longer exists or the signal aborted.
 * @param {string} id
 * @param {(scan: Scan) => void} onScan
 * @param {{ onOffline?: (error: unknown) => void, signal?: AbortSignal, status?: string, segmentation?: string }} [options] status: as last
 *   known; segmentation: of its runs; empty: the one that the portal shows
 * @returns {Promise<Scan | null>}
 */
export async function watchScan(id, onScan, { onOffline = () => {}, signal, status = "queued", segmentation = "" } = {}) {
  try {
    return await follow(id, onScan, onOffline, signal, status, segmentation);
  } finally {
    noteInLine(id, false);
  }
}

/**
 * @param {string} id
 * @param {(scan: Scan) => void} onScan
 * @param {(error: unknown) => void} onOffline
 * @param {AbortSignal | undefined} signal
 * @param {string} status
 * @param {string} segmentation
 */
async function follow(id, onScan, onOffline, signal, status, segmentation) {
  let state = status;
  let hasProgress = false;
  while (!signal?.aborted) {
    try {
      noteInLine(id, state === "queued" && !segmentation);
      const listed = await listedInLine(id);
      if (listed) {
        onScan(listed);
        continue;
      }
      let isCrowded = false;
      const scan = await inTurn(() => {
        isCrowded = line.length > 0;
        const wait = (isCrowded ? CROWDED_WAIT_S : WAIT_S).get(state) ?? 2;
        return getScan(id, hasProgress ? Math.min(wait, STACK_WAIT_S) : wait, signal, segmentation);
      });
      state = scan.segmentation.status;
      hasProgress = state === "running" && scan.slice_count > MANY_SLICES;
      onScan(scan);
      if (isOver(state)) return scan;
      await pause(isCrowded ? CROWDED_PAUSE_MS : PAUSE_MS);
    } catch (error) {
      if (isAbort(error) || hasStatus(error, 404)) return null;
      if (hasCode(error, "too_many_waiting")) {
        await pause(BUSY_MS);
        continue;
      }
      onOffline(error);
      await pause(RETRY_MS);
    }
  }
  return null;
}
