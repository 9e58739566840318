/* Stages and times of an evaluation as words; webapp/evaluation_words.py says the same on the server's side. */

export const STAGES = {
  waiting: "Waiting for a worker",
  checking: "Checking every file",
  running: "Evaluating",
  reporting: "Adding up the report",
  ended: "Ended",
};

/** A time that is left, no more exact than it is known. */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
