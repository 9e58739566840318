/* What this browser keeps: in localStorage for good, in sessionStorage as long as the tab. Both may be forbidden, and nothing is kept then. */

/** @typedef {"localStorage" | "sessionStorage"} Place */

/**
 * What is kept under a key; null where nothing is.
 * @param {Place} place
 * @param {string} key
 */
export function readKept(place, key) {
  try {
    return window[place].getItem(key);
  } catch {
    return null;
  }
}

/**
 * @param {Place} place
 * @param {string} key
 * @param {string | null} value null: keep nothing
 */
export function keep(place, key, value) {
  try {
    if (value === null) window[place].removeItem(key);
    else window[place].setItem(key, value);
  } catch {
    // the page at hand does without
  }
}
