/* Figures and states as words. templates/macros/chips.html says the same on the server's side. */

const NBSP = "\u00a0";

export const count = (value) => value.toLocaleString("en-US");

export function percent(value, digits = 2) {
  if (value > 0 && value < 0.005) return `<${NBSP}0.01${NBSP}%`;
  return `${value.toFixed(digits)}${NBSP}%`;
}

export function fileSize(bytes) {
  if (bytes < 1000) return `${bytes}${NBSP}B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)}${NBSP}kB`;
  return `${(bytes / 1e6).toFixed(1)}${NBSP}MB`;
}

/** Area in mm², from 100 mm² on in cm². */
export const area = (mm2) => (mm2 < 100 ? `${mm2.toFixed(1)}${NBSP}mm²` : `${(mm2 / 100).toFixed(2)}${NBSP}cm²`);

/** Volume in mm³, from 100 mm³ on in mL (1 mL = 1000 mm³). */
export const volume = (mm3) => (mm3 < 100 ? `${mm3.toFixed(1)}${NBSP}mm³` : `${(mm3 / 1000).toFixed(2)}${NBSP}mL`);

const STATES = {
  tumor_detected: { tone: "tumor", icon: "tumor", words: "Tumor detected" },
  no_tumor: { tone: "clear", icon: "clear", words: "No tumor found" },
  queued: { tone: "busy", icon: "queued", words: "Queued" },
  running: { tone: "busy", icon: "running", words: "Running" },
  failed: { tone: "warn", icon: "failed", words: "Failed" },
  cancelled: { tone: "plain", icon: "cancelled", words: "Cancelled" },
  uploading: { tone: "busy", icon: "upload", words: "Uploading" },
  rejected: { tone: "warn", icon: "failed", words: "Not accepted" },
};

/** Tone, icon and words of a state or a verdict. */
export const stateOf = (name) => STATES[name] ?? { tone: "plain", icon: "info", words: name };

/** The sentence of a run's warning that its verdict may mean nothing, or "". */
export const unlikeOf = (run) => run.warnings.find(({ code }) => code === "unlike_training_data")?.message ?? "";

const ORDINALS = ["", "First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth"];

export function placeInLine(position) {
  if (!position) return "In line";
  return position < ORDINALS.length ? `${ORDINALS[position]} in line` : `Number ${position} in line`;
}

/** One short line under a scan's chip. */
export function detailOf(scan) {
  const run = scan.segmentation;
  switch (run.status) {
    case "succeeded":
      return run.verdict === "tumor_detected"
        ? `${percent(run.coverage_percent)} of the ${scan.slice_count > 1 ? "stack" : "image"}`
        : "No tumor area above the threshold";
    case "queued": return placeInLine(run.queue_position);
    case "running": return "The model is reading it";
    case "failed": return run.error?.message ?? "The model could not finish.";
    default: return "Stopped before it finished";
  }
}
