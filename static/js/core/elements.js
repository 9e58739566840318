/* Elements of the page with their types. Where a script and its template disagree, the error names the selector. */

/**
 * The first element that fits a selector, or null where there is none of that type.
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} type
 * @param {ParentNode} [scope]
 * @returns {T | null}
 */
export function findElement(selector, type, scope = document) {
  const found = scope.querySelector(selector);
  return found instanceof type ? found : null;
}

/**
 * The first element that fits a selector. Throws where there is none of that type.
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} type
 * @param {ParentNode} [scope]
 * @returns {T}
 */
export function element(selector, type, scope = document) {
  const found = findElement(selector, type, scope);
  if (!found) throw new Error(`The page has no ${type.name} at ${selector}.`);
  return found;
}

/**
 * All elements of a type that fit a selector, in the order of the document.
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} type
 * @param {ParentNode} [scope]
 * @returns {T[]}
 */
export function elements(selector, type, scope = document) {
  return Array.from(scope.querySelectorAll(selector)).flatMap((found) => (found instanceof type ? [found] : []));
}

/**
 * The element that an event happened on; null where that was the document or the window.
 * @param {Event} event
 * @returns {Element | null}
 */
export function targetOf(event) {
  return event.target instanceof Element ? event.target : null;
}
