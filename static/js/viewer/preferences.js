/* What a reader likes, kept in this browser alone. */
import { keep, readKept } from "../core/storage.js";

const PREFIX = "viewer.";

/**
 * @param {string} name
 * @param {string} otherwise
 */
export const readPreference = (name, otherwise) => readKept("localStorage", PREFIX + name) ?? otherwise;

/**
 * @param {string} name
 * @param {string} value
 */
export const writePreference = (name, value) => keep("localStorage", PREFIX + name, value);
