/* The jobs that wait in line: where several are watched, one list tells the places of all, so that they are of one moment. */
/** @import { Scan } from "./types.js" */
import { getLine } from "./api.js";

const PAUSE_MS = 1000; // between two lists

/** Ids of the watched scans that were last seen in line. */
const inLine = new Set();
/** @type {((scans: Scan[]) => void)[]} those that wait for the next list */
let waiting = [];

/**
 * Says whether a watched scan is in line, as far as is known.
 * @param {string} id
 * @param {boolean} isQueued
 */
export function noteInLine(id, isQueued) {
  if (isQueued) inLine.add(id);
  else inLine.delete(id);
}

/**
 * The scan as the next list of the line has it; null where it is not in it, or where no other scan is watched in line:
 * then it asks for itself.
 * @param {string} id
 * @returns {Promise<Scan | null>}
 */
export async function listedInLine(id) {
  if (!inLine.has(id) || inLine.size < 2) return null;
  const list = new Promise((/** @type {(scans: Scan[]) => void} */ resolve) => waiting.push(resolve));
  if (waiting.length === 1) setTimeout(tell, PAUSE_MS);
  return (await list).find((scan) => scan.id === id) ?? null;
}

/** Hands one list to all that wait for it; an empty one where it failed. */
async function tell() {
  const told = waiting;
  waiting = [];
  const scans = await getLine().catch(() => []);
  for (const resolve of told) resolve(scans);
}
