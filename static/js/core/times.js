/* Turns <time datetime> into relative words, with the exact local time on hover; keeps them fresh. */
import { elements } from "./elements.js";

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
/** @type {[Intl.RelativeTimeFormatUnit, number][]} unit, seconds */
const STEPS = [["minute", 60], ["hour", 3600], ["day", 86400]];
const REFRESH_MS = 30_000;

/**
 * @param {Date} date
 * @param {Date} [now]
 */
export function relativeWords(date, now = new Date()) {
  const seconds = (date.getTime() - now.getTime()) / 1000;
  const age = Math.abs(seconds);
  if (age < 45) return "just now";
  if (age > 14 * 86400) return day.format(date);
  let words = "";
  for (const [unit, size] of STEPS) if (age >= size * 0.75) words = relative.format(Math.round(seconds / size), unit);
  return words;
}

/**
 * The exact time where the reader is, and the day in UTC where that is another one: the history is filtered by it.
 * @param {Date} date
 * @param {string} [timeZone] the reader's, where none is named
 */
export function exactWords(date, timeZone) {
  const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium", timeZone }).format(date);
  const [here, utc] = [timeZone, "UTC"].map((zone) => new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: zone }).format(date));
  return here === utc ? exact : `${exact}; in UTC, by which the history is filtered, ${utc}`;
}

/** @param {ParentNode} [scope] */
export function refreshTimes(scope = document) {
  for (const time of elements("time[datetime]", HTMLTimeElement, scope)) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    time.textContent = relativeWords(date);
    time.title = exactWords(date);
  }
}

export function keepTimesFresh() {
  refreshTimes();
  setInterval(() => refreshTimes(), REFRESH_MS);
}
