/* Which files of a drop are the slices of one scan, by the rule of webapp/domain/scans/grouping.py; a test holds the two equal. */

const SPARSEST = 2; // numbers this far apart on average count patients or dates, not slices

const EVERYBODYS_FOLDERS = new Set([ // of one patient as of any other
  "images", "image", "imgs", "img", "slices", "scans", "png", "tif", "tiff", "jpg", "dicom", "dcm",
  "flair", "t1", "t1c", "t1ce", "t1gd", "t1post", "t2",
]);

const LONGEST_NAME = 255; // of a study
const LEAST_ALIKE = 3; // two names that differ in a number say nothing yet
export const PICTURE = /\.(?:tiff?|png|jpg|jpeg|jpe|jfif|webp)$/i;

/** @typedef {{ name: string, places: number[] }} FileGroup places: of its files, from the first slice to the last */
/** @typedef {{ key: string, title: string, number: number }} Numbered */

const trimmed = (/** @type {string} */ path) => path.replaceAll("\\", "/").replace(/^\/+|\/+$/g, "");
const fileName = (/** @type {string} */ path) => trimmed(path).replace(/^.*\//s, "");
const folderOf = (/** @type {string} */ path) => trimmed(path).slice(0, -fileName(path).length).replace(/\/$/, "");
const stemOf = (/** @type {string} */ path) => fileName(path).replace(/\.[^.]*$/s, "") || fileName(path);
export const folded = (/** @type {string} */ text) => text.normalize("NFC").toUpperCase().toLowerCase(); // as Python's casefold: ß is ss

/**
 * The parts of a name that ends with a number; null for another one.
 * @param {string} path
 * @returns {Numbered | null}
 */
function numbered(path) {
  const found = /^(.*?)([0-9]{1,9})([)\]]?)$/s.exec(stemOf(path));
  if (!found) return null;
  const folder = folderOf(path);
  // Of a longer run of digits the last nine are the number: the others are no part of the title either.
  const title = called(path, found[1].replace(/[0-9]+$/, "").replace(/[ _\-.([#]+$/, "") || fileName(folder) || "Stack");
  const ending = found[3] + fileName(path).slice(stemOf(path).length);
  return { key: [folder.normalize("NFC"), folded(found[1]), folded(ending)].join("\n"), title, number: Number(found[2]) };
}

/**
 * A scan's name, after that of a folder where it says nothing of whose scan it is: "P7 flair", "P8 flair".
 * @param {string} path
 * @param {string} name
 * @param {boolean} [isShared] another file of the drop has the name, whose digits then tell nothing either
 */
function called(path, name, isShared = false) {
  if ((name.match(/[0-9]/g) ?? []).length > 1 && !isShared) return name;
  const words = folded(name);
  const around = folderOf(path).split("/").reverse().filter((folder) => folder && !words.startsWith(folded(folder)));
  const first = Math.max(around.findIndex((folder) => !EVERYBODYS_FOLDERS.has(folded(folder))), 0);
  return [...around.slice(0, first + 1).reverse(), name].join(" ");
}

/**
 * The study of each scan of a drop: the nearest folder around it that holds several scans; empty where there is none.
 * Folders of one name in two places are called by their paths.
 * @param {string[]} paths of the files
 * @param {{ places: number[] }[]} groups the scans
 * @returns {string[]}
 */
export function studyNames(paths, groups) {
  const around = groups.map(({ places }) => foldersAround(paths[places[0]]));
  /** @type {Map<string, number>} scans by folder */
  const scans = new Map();
  for (const folder of around.flat()) scans.set(folder, (scans.get(folder) ?? 0) + 1);
  const studies = around.map((folders) => folders.find((folder) => (scans.get(folder) ?? 0) > 1) ?? "");
  const places = new Map([...new Set(studies)].map((folder) => [folder, folded(fileName(folder))]));
  const isAlone = (/** @type {string} */ folder) => [...places.values()].filter((name) => name === places.get(folder)).length === 1;
  return studies.map((folder) => (isAlone(folder) ? fileName(folder) : folder).slice(-LONGEST_NAME));
}

/**
 * The folders around a file, the innermost first.
 * @param {string} path
 */
function foldersAround(path) {
  const parts = trimmed(path).split("/").slice(0, -1);
  return parts.map((_, place) => parts.slice(0, parts.length - place).join("/"));
}

/**
 * The largest number of pictures of one folder whose names differ in a number alone that is not at their ends (`slice_01_flair.png`), and
 * the first of them: they may be the slices of one head, or as many heads. Null where there are none.
 * @param {string[]} paths of the scans that are one file each
 * @returns {{ count: number, first: string } | null}
 */
export function likeSlices(paths) {
  /** @type {Map<string, { numbers: Set<string>, first: string }>} */
  const found = new Map();
  for (const path of paths.filter((name) => PICTURE.test(name) && !numbered(name))) {
    for (const { 0: number, index } of stemOf(path).matchAll(/[0-9]+/g)) {
      const rest = `${stemOf(path).slice(0, index)}#${stemOf(path).slice(index + number.length)}`;
      const key = [folderOf(path).normalize("NFC"), folded(rest)].join("\n");
      const entry = found.get(key) ?? { numbers: new Set(), first: fileName(path) };
      found.set(key, entry);
      entry.numbers.add(number);
    }
  }
  const [largest] = [...found.values()].sort((a, b) => b.numbers.size - a.numbers.size);
  return largest && largest.numbers.size >= LEAST_ALIKE ? { count: largest.numbers.size, first: largest.first } : null;
}

/**
 * The scans that files make, in the order of their first files. A file of no group is a group of its own.
 * @param {string[]} paths
 * @returns {FileGroup[]}
 */
export function groupFiles(paths) {
  /** @type {Map<string, { title: string, byNumber: Map<number, number[]> }>} */
  const names = new Map();
  for (const [place, path] of paths.entries()) {
    const found = numbered(path);
    if (!found) continue;
    const name = names.get(found.key) ?? { title: found.title, byNumber: new Map() };
    names.set(found.key, name);
    name.byNumber.set(found.number, [...(name.byNumber.get(found.number) ?? []), place]);
  }
  /** @type {FileGroup[]} */
  const groups = [];
  for (const { title, byNumber } of names.values()) {
    const numbers = [...byNumber.keys()].sort((a, b) => a - b);
    const isClear = [...byNumber.values()].every((places) => places.length === 1);
    if (isClear && numbers.length > 1 && numbers[numbers.length - 1] - numbers[0] < SPARSEST * numbers.length) {
      groups.push({ name: title, places: numbers.flatMap((number) => byNumber.get(number) ?? []) });
    }
  }
  const grouped = new Set(groups.flatMap(({ places }) => places));
  const alone = [...paths.entries()].filter(([place]) => !grouped.has(place));
  /** @type {Map<string, number>} */
  const times = new Map();
  for (const [, path] of alone) times.set(fileName(path), (times.get(fileName(path)) ?? 0) + 1);
  for (const [place, path] of alone) groups.push({ name: called(path, fileName(path), (times.get(fileName(path)) ?? 0) > 1), places: [place] });
  return groups.sort((a, b) => Math.min(...a.places) - Math.min(...b.places));
}
