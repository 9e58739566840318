/* Turns <time datetime> into relative words, with the exact local time on hover; keeps them fresh. */

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const STEPS = [["minute", 60], ["hour", 3600], ["day", 86400]];
const REFRESH_MS = 30_000;

export function relativeWords(date, now = new Date()) {
  const seconds = (date - now) / 1000;
  const age = Math.abs(seconds);
  if (age < 45) return "just now";
  if (age > 14 * 86400) return day.format(date);
  let words = "";
  for (const [unit, size] of STEPS) if (age >= size * 0.75) words = relative.format(Math.round(seconds / size), unit);
  return words;
}

export function refreshTimes(scope = document) {
  for (const element of scope.querySelectorAll("time[datetime]")) {
    const date = new Date(element.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    element.textContent = relativeWords(date);
    element.title = exact.format(date);
  }
}

export function keepTimesFresh() {
  refreshTimes();
  setInterval(refreshTimes, REFRESH_MS);
}
