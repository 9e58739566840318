/* What a reader likes, kept in this browser alone. */

const PREFIX = "viewer.";

/**
 * @param {string} name
 * @param {string} otherwise
 */
export function readPreference(name, otherwise) {
  try {
    return localStorage.getItem(PREFIX + name) ?? otherwise;
  } catch {
    return otherwise; // storage may be forbidden
  }
}

/**
 * @param {string} name
 * @param {string} value
 */
export function writePreference(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // the choice then lasts for this page only
  }
}
