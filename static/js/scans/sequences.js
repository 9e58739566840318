/* Which volumes of a drop are sequences of one patient, by the rule of webapp/domain/scans/sequence_groups.py; a test holds the two equal. */
import { folded } from "./grouping.js";

const LEAST_DIGITS = 2; // a name with fewer, of a patient and not of a day, is many patients'
const LONGEST_NAME = 255; // of a study
const UNNAMED = "Sequences";
const VOLUME = /\.nii(\.gz)?$/i;

const DAYS = /(?<![0-9])((19|20)[0-9]{2}([-_. ]?)[01][0-9]\3[0-3][0-9]|[0-3]?[0-9]([-_. ])[01]?[0-9]\4(19|20)[0-9]{2})(?![0-9])/g;
const OF_MANY = /mni[0-9]+[a-z0-9]*|sri24|[0-9.]+x[0-9.]+(x[0-9.]+)?(mm)?/gi; // templates and sizes of voxels

const digits = (/** @type {string} */ name) => (name.replace(DAYS, "").replace(OF_MANY, "").match(/[0-9]/g) ?? []).length;

/**
 * What a file's name says besides its sequence; null where it names no sequence.
 * @param {string} name
 * @param {string} pattern of the words of sequences
 */
function nameWithoutSequence(name, pattern) {
  const stem = name.replace(VOLUME, "");
  const words = stem.replace(/[^a-zA-Z0-9+*]/g, " ").toLowerCase();
  const rest = [];
  let end = 0;
  for (const found of words.matchAll(new RegExp(pattern, "g"))) {
    rest.push(stem.slice(end, found.index));
    end = found.index + found[0].length;
  }
  if (!rest.length) return null;
  return [...rest, stem.slice(end)].map((part) => part.replace(/^[ _.\-+()[\]]+|[ _.\-+()[\]]+$/g, "")).filter(Boolean).join(" ");
}

/**
 * The study of each file that is one of several sequences of a patient; empty where it is none.
 * @param {string[]} paths
 * @param {string} pattern of the words of sequences
 * @param {string} time what tells studies apart whose files do not say whose they are
 * @returns {string[]}
 */
export function sequenceStudies(paths, pattern, time) {
  /** @type {Map<string, { title: string, places: number[] }>} */
  const groups = new Map();
  for (const [place, path] of paths.entries()) {
    const parts = path.replaceAll("\\", "/").replace(/^\/+|\/+$/g, "").split("/");
    const name = parts.pop() ?? "";
    const rest = VOLUME.test(name) ? nameWithoutSequence(name, pattern) : null;
    if (rest === null) continue;
    const folder = parts[parts.length - 1] ?? "";
    const named = (digits(rest) >= LEAST_DIGITS || !folder ? rest : folder) || UNNAMED;
    const key = [parts.join("/").normalize("NFC"), folded(rest)].join("\n");
    const group = groups.get(key) ?? { title: (digits(named) >= LEAST_DIGITS ? named : `${named}, ${time}`).slice(-LONGEST_NAME), places: [] };
    group.places.push(place);
    groups.set(key, group);
  }
  const studies = paths.map(() => "");
  for (const { title, places } of groups.values()) if (places.length > 1) for (const place of places) studies[place] = title;
  return studies;
}
