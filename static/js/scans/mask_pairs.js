/* Which files of a drop are experts' masks, and of which slice, by the rule of webapp/domain/scans/mask_pairs.py and
   ml/datasets/mask_names.py; a test holds them equal. */
import { PICTURE, folded } from "./grouping.js";

const IMAGE_FOLDERS = ["images", "image", "imgs", "img"];
const MASK_FOLDERS = ["masks", "mask", "labels", "label", "masks_machine"];
const OTHER_FOLDERS = ["groundtruth", "ground_truth", "ground-truth", "ground truth", "gt", "msk", "msks", "segmentations"];
const PROGRAM_FOLDERS = ["segmentationclass", "ann_dir", "segmentationobject", "labelstr", "labelsts"];
const INNER_FOLDERS = ["segmentation", "seg", "segs", "truth", "truths", "labelmap", "labelmaps", "gts"]; // of a file in a patient's folder
const KNOWN_FOLDERS = [...MASK_FOLDERS, ...OTHER_FOLDERS, ...PROGRAM_FOLDERS];
const FOREIGN = "masken?|masques?|m[aá]scaras?|maschera|maschere|segmentierung(?:en)?|segmentaci[oó]n|segmentazione";
const OF_MASKS = new RegExp(
  "^(?!(?:.*[ ._-])?(?:no|non|with|without|and|or)[ ._-])" +
    "(?:.+[ ._-]masks?|masks?[ ._-](?:images?|imgs?|human|instances?|png|tiff?)|(?:train|val|valid|test|default)annot" +
    `|(?:.+[ ._-])?(?:${FOREIGN})|masks?[ ._-]?(?:rater|reader|expert|annotator|observer).*|masks?[ ._-]?[0-9]+|masks[ ._-].+` +
    "|masks?[ ._-](?:edema|oedema|core|tumou?rs?|whole|enhancing|necrosis|necrotic|et|tc|wt|ed|net|ncr))$",
  "s",
);
const GLISTRBOOST = "glistrboost(?:[ ._-]out)?(?:[ ._-]manually[ ._-]?corrected)?";
const LONG = `masks?|(?:lesions?|tumou?rs?)segm?s?|segmentations?|labelmaps?|ground[ ._-]?truths?|${FOREIGN}|${GLISTRBOOST}`;
const SHORT = "d?segm?s?|gts?|gtv[pn]?|labels?|truths?|annotations?";
const COUNT = "(?:[ ._-]*(?:[0-9]{1,6}|\\([0-9]{1,6}\\)|-? ?copy(?: [0-9]{1,2}| ?\\([0-9]{1,2}\\))?))?";
const NUMBERED = /^(.*?)([0-9]{1,9})$/s;
const FEWEST_SHIFTED = 3;
const VOLUME = /\.(?:nii(?:\.gz)?|nrrd)$/i;
const TEXT = /\.(?:json|jsonl|ndjson|geojson|xml|txt|csv|tsv)$/i; // outlines at most
const DOUBTFUL = new RegExp(
  `[ ._-](?:(?:rois?|tumou?rs?|lesions?|contours?|outlines?)${COUNT}|m)$|[ ._-](?:${LONG}|${SHORT})[ ._-].*$`,
  "s",
);
const RESULT = /[ ._-](?:pred(?:s|ict(?:s|ed|ions?)?)?|probs?|probabilit(?:y|ies)|heat[ ._-]?maps?|overlays?|overlaid)$/; // of the image of the rest of the name
const FLAIR_ENDINGS = ["-t2f", "_t2f", "_flair", "-flair"]; // BraTS: the mask lies on all sequences of a patient, and this one is read
const BEGINNING = /^(?:masks?|labels?|segmentations?|segm?s?(?![ ._-](?:flair|t[12])))[ ._-]/;
const OF_TUMOR = /[ ._-]?(?:brats[ ._-])?(?:whole[ ._-]?)?(?:tumou?rs?|lesions?|glioma)$/;
const OF_VSD = /^vsd\..+\.ot\.[0-9]+$/s; // the Virtual Skeleton Database's
const BRUSH = /^task-[0-9]+-annotation-[0-9]+-by-.+-tag-.+$/s; // Label Studio's
const OVERLAY = "label_viz"; // LabelMe's picture of the labels on their image
const WORD = `(?:[ ._-]?(?:${LONG})|(?:^|[ ._-])(?:${SHORT})|(?<=[\\p{L}\\p{N}_])[ ._-]msks?)`;
const CITYSCAPES = /_gt(?:fine|coarse)_(?:(?:label|instance)(?:train)?ids|color)$/;
const ENDING = new RegExp(`${WORD}${COUNT} *$`, "u");
const ONE_ENDING = new RegExp(`${WORD}$`, "u");
const SAID = `(?<!no)(?<!no[ ._-])(?<!without)(?<!without[ ._-])${WORD}`; // but not `no_mask_flair`
const ON_FLAIR = new RegExp(`${SAID}[ ._-](?:flair|t2f)$`, "u"); // of volumes: the sequence that a mask was drawn on
const ON_SEQUENCE = new RegExp(`${SAID}[ ._-](?:flair|t2[fw]?|t1(?:n|c|ce|gd)?)$`, "u");

const ORGAN =
  "brain[-_. ]?stem|cerebellum|ventricles?|hippocamp(?:us|i)|(?:optic[-_. ]?)?(?:chiasm|nerves?)|eyes?|lens(?:es)?" +
  "|cochleas?|(?:spinal[-_. ]?)?cord|pituitary[-_. ]?gland|(?:resection[-_. ]?)?cavity";
const ANATOMY = new RegExp(
  "^.+[-_. ](?:brain(?:[-_. ]?extraction)?|parenchyma|skull|head|bet|hd-?bet|synthstrip|tissues?|wm|gm|csf|aseg" +
    `|aparc(?:\\+?aseg)?|(?:${ORGAN})(?:[-_. ]?(?:l|r|lt|rt|left|right))?)$`,
  "s",
); // of volumes: no tumor's

/** @typedef {{ scans: number[], masks: Map<number, number>, refused: number[], shifted: number[], answers: number[] }} MaskPairs places of files;
   masks: by the place of their slice; shifted: counted from another number than their slices; answers: a model's, and overlays, beside their images */
/** @typedef {{ folders: string[], stem: string }} Key */

const keyText = (/** @type {string[]} */ folders, /** @type {string} */ stem) => JSON.stringify([folders, stem]);

/**
 * @param {string} path
 * @returns {Key}
 */
function keyOf(path) {
  const parts = path.replaceAll("\\", "/").replace(/^\/+|\/+$/g, "").split("/");
  const name = parts[parts.length - 1];
  const stem = name.replace(/\.[^.]*$/s, "") || name;
  return { folders: parts.slice(0, -1).map(folded), stem: folded((/\.nii\.gz$/i.test(name) && stem.slice(0, -".nii".length)) || stem) };
}

/** @param {string} path */
function looksLikeMask(path) {
  const parts = path.replaceAll("\\", "/").split("/");
  const name = parts[parts.length - 1];
  if (TEXT.test(name)) return false;
  const stem = name.replace(/(?<=.)(?:\.nii\.gz|\.ome\.tiff?|\.[^.]*)$/is, "").toLowerCase();
  if (ENDING.test(stem) || CITYSCAPES.test(stem) || BEGINNING.test(stem) || BRUSH.test(stem) || OF_VSD.test(stem) || stem === OVERLAY) return true;
  if (VOLUME.test(name) && ON_SEQUENCE.test(stem)) return true;
  const folders = parts.slice(0, -1).map(folded);
  if (folders.length > 1 && INNER_FOLDERS.includes(folders[folders.length - 1])) return true;
  return folders.some((folder) => KNOWN_FOLDERS.includes(folder) || OF_MASKS.test(folder));
}

/**
 * What the slice of a mask may be called; nothing where the name is none of those that are read.
 * @param {string} path
 */
function keysOfSlice(path) {
  const { folders, stem } = keyOf(path);
  const plain = stem.replace(/ +$/, "");
  const stems = plain.endsWith("_mask") ? [plain.slice(0, -"_mask".length)] : volumeStems(path, stem);
  const keys = stems.map((name) => keyText(folders, name));
  for (const [place, folder] of folders.entries()) {
    if (!MASK_FOLDERS.includes(folder)) continue;
    for (const middle of [[], ...IMAGE_FOLDERS.map((name) => [name])]) {
      const others = [...folders.slice(0, place), ...middle, ...folders.slice(place + 1)];
      keys.push(...[stem, ...stems, stem.replace(ONE_ENDING, "")].map((name) => keyText(others, name)));
    }
  }
  return keys;
}

/**
 * The names of a volume's mask without what says that it is one, or the tumor's; nothing of other files.
 * @param {string} path
 * @param {string} stem
 */
function volumeStems(path, stem) {
  const found = VOLUME.test(path) ? (ONE_ENDING.exec(stem) ?? ON_FLAIR.exec(stem)) : null;
  const base = found ? stem.slice(0, found.index) : "";
  return found ? [base, base.replace(OF_TUMOR, "")] : [];
}

/**
 * Whether a name ends as a mask's may, or a model's answer's, and the slice of the rest of the name is there.
 * @param {string} path
 * @param {RegExp} ending
 * @param {Set<string>} names
 */
function isBeside(path, ending, names) {
  const { folders, stem } = keyOf(path);
  const found = TEXT.test(path) ? null : ending.exec(stem);
  return found !== null && names.has(keyText(folders, stem.slice(0, found.index)));
}

/** @param {string} path */
function isOfAnatomy(path) {
  return VOLUME.test(path) && ANATOMY.test(keyOf(path).stem.replace(ONE_ENDING, ""));
}

/** @param {string} path */
function keysOfFlair(path) {
  const { folders, stem } = keyOf(path);
  return volumeStems(path, stem).flatMap((name) => FLAIR_ENDINGS.map((ending) => keyText(folders, name + ending)));
}

/**
 * Tells masks from scans, and pairs them.
 * @param {string[]} paths
 * @returns {MaskPairs}
 */
export function pairMasks(paths) {
  const places = [...paths.keys()];
  const isNamed = paths.map(looksLikeMask);
  const others = places.filter((place) => !isNamed[place]).map((place) => keyOf(paths[place]));
  const names = new Set(others.map(({ folders, stem }) => keyText(folders, stem)));
  const isMask = places.map((place) => isNamed[place] || isBeside(paths[place], DOUBTFUL, names));
  const isAnswer = places.map((place) => !isMask[place] && isBeside(paths[place], RESULT, names));
  const scans = places.filter((place) => !isMask[place] && !isAnswer[place]);
  /** @type {Map<string, number[]>} */
  const byKey = new Map();
  for (const place of scans) {
    const { folders, stem } = keyOf(paths[place]);
    const key = keyText(folders, stem);
    byKey.set(key, [...(byKey.get(key) ?? []), place]);
  }
  /** @type {Map<number, number[]>} */
  const found = new Map();
  for (const place of places.filter((mask) => isMask[mask])) {
    let slices = new Set(keysOfSlice(paths[place]).flatMap((key) => byKey.get(key) ?? []));
    if (!slices.size) slices = new Set(keysOfFlair(paths[place]).flatMap((key) => byKey.get(key) ?? []));
    if (isOfAnatomy(paths[place])) continue;
    for (const slice of slices.size === 1 ? slices : []) found.set(slice, [...(found.get(slice) ?? []), place]);
  }
  /** @type {Map<number, number>} */
  const masks = new Map();
  for (const [slice, [first, ...others]] of found) if (!others.length) masks.set(slice, first);
  const shifted = shiftedMasks(paths, scans, places.filter((place) => isMask[place]), found);
  for (const [slice, mask] of masks) if (shifted.has(mask)) masks.delete(slice);
  const settled = new Set([...masks.values(), ...shifted]);
  const refused = places.filter((place) => isMask[place] && !settled.has(place));
  return { scans, masks, refused, shifted: [...shifted], answers: places.filter((place) => isAnswer[place]) };
}

/**
 * Masks of pictures that are counted from another number than their slices, folder by folder: each would be its neighbor's.
 * @param {string[]} paths
 * @param {number[]} scans
 * @param {number[]} masks
 * @param {Map<number, number[]>} found masks by the place of their slice
 */
function shiftedMasks(paths, scans, masks, found) {
  const folderOf = (/** @type {number} */ place) => JSON.stringify(keyOf(paths[place]).folders);
  const isPicture = (/** @type {number} */ place) => !VOLUME.test(paths[place]);
  const byFolder = (/** @type {number[]} */ some) => {
    /** @type {Map<string, number[]>} */
    const groups = new Map();
    for (const place of some) {
      const group = groups.get(folderOf(place));
      if (group) group.push(place);
      else groups.set(folderOf(place), [place]);
    }
    return groups;
  };
  const imageFolders = new Map([...found].flatMap(([slice, own]) => own.map((mask) => [mask, folderOf(slice)])));
  const images = byFolder(scans.filter(isPicture));
  /** @type {Set<number>} */
  const shifted = new Set();
  for (const group of byFolder(masks.filter(isPicture)).values()) {
    const [folder, ...others] = new Set(group.flatMap((mask) => imageFolders.get(mask) ?? []));
    if (others.length) continue;
    const stems = (images.get(folder) ?? []).map((scan) => keyOf(paths[scan]).stem);
    if (areShifted(stems, group.map((mask) => baseOf(paths[mask])))) for (const mask of group) shifted.add(mask);
  }
  return shifted;
}

/**
 * A mask's name without what says that it is one.
 * @param {string} path
 */
function baseOf(path) {
  const { stem } = keyOf(path);
  const plain = stem.replace(/ +$/, "");
  return plain.endsWith("_mask") ? plain.slice(0, -"_mask".length) : stem.replace(ONE_ENDING, "");
}

/**
 * Whether masks are numbered as their images are, from one number above or below.
 * @param {string[]} images
 * @param {string[]} masks
 */
function areShifted(images, masks) {
  if (images.length < FEWEST_SHIFTED || images.length !== masks.length) return false;
  const numbers = [images, masks].map((stems) => {
    const found = stems.map((stem) => NUMBERED.exec(stem));
    const isOne = found.every((one) => one?.[1] === found[0]?.[1]);
    return isOne && found[0] ? found.map((one) => Number(one?.[2])).sort((a, b) => a - b) : [];
  });
  const shifts = new Set(numbers[0].map((number, place) => numbers[1][place] - number));
  return shifts.size === 1 && (shifts.has(1) || shifts.has(-1));
}

/**
 * The first two pictures of one name with two endings (`1.jpg`, `1.png`), which may be a slice and its mask: of loose files nobody looks at
 * the pixels, as `python -m ml check` does in a data set. Null where there are none.
 * @param {string[]} paths of scans
 * @returns {[string, string] | null}
 */
export function namesakes(paths) {
  /** @type {Map<string, string>} */
  const firsts = new Map();
  for (const path of paths.filter((name) => PICTURE.test(name))) {
    const { folders, stem } = keyOf(path);
    const key = keyText(folders, stem);
    const first = firsts.get(key);
    if (first !== undefined && folded(first) !== folded(path)) return [first, path];
    firsts.set(key, path);
  }
  return null;
}
