/* The mask rule, as ml/masks.py has it: a pixel belongs to the tumor where round(255 p) >= ceil(255 threshold), and 8-connected
   components smaller than the smallest tumor are dropped; what is seen at a lower threshold and has none of the mask is in doubt;
   what reaches the threshold and is in neither is not counted.
   No DOM in here: a test compares it with the server's, pixel by pixel. */

/** @typedef {{ threshold: number, minPixels: number }} DoubtRule */
/** @typedef {{ mask: Uint8Array, area: number, regions: number, pixels: number, maxLevel: number }} Doubt
   mask: 1 where in doubt; area: its pixels; pixels, maxLevel (0 to 255): of the region with the highest probability, 0 without any */

const CANDIDATE = 2; // at or above the threshold, component not yet measured

/**
 * The smallest value of a map (1 to 255) that counts as tumor: ml.masks.threshold_level.
 * @param {number} threshold 0 to 1
 */
export function thresholdLevel(threshold) {
  // 255 * (k / 255) is not always k in floating point; 1e-6 keeps the ceiling from lifting it by one.
  return Math.max(1, Math.ceil(255 * threshold - 1e-6));
}

/**
 * The tumor mask of one slice.
 * @param {Uint8Array} probabilityU8 round(255 p), row by row
 * @param {number} width
 * @param {number} height
 * @param {number} threshold 0 to 1
 * @param {number} minPixels components with fewer pixels are dropped
 * @param {[row: number, column: number][]} [dropped] a pixel of each component that the rule for stacks dropped
 * @returns {Uint8Array} 1 where tumor, else 0; row by row
 */
export function tumorMask(probabilityU8, width, height, threshold, minPixels, dropped = []) {
  const mask = candidatesOf(probabilityU8, thresholdLevel(threshold));
  const component = new Int32Array(mask.length); // a queue: its first `size` entries are the component's pixels
  const erase = (/** @type {number} */ size) => {
    for (let i = 0; i < size; i++) mask[component[i]] = 0;
  };
  for (const [row, column] of dropped) {
    const seed = row * width + column;
    if (mask[seed] === CANDIDATE) erase(fill(mask, width, height, seed, component));
  }
  for (let seed = 0; seed < mask.length; seed++) {
    if (mask[seed] !== CANDIDATE) continue;
    const size = fill(mask, width, height, seed, component);
    if (size < minPixels) erase(size);
  }
  return mask;
}

/**
 * The regions in doubt of one slice: ml.masks.MaskRule.doubt_level and its components without a pixel of the mask.
 * @param {Uint8Array} probabilityU8 round(255 p), row by row
 * @param {number} width
 * @param {number} height
 * @param {Uint8Array} tumor 1 where tumor, of `tumorMask`
 * @param {number} threshold of the mask, 0 to 1
 * @param {DoubtRule | null} rule null where the model has none
 * @returns {Doubt}
 */
export function doubtOf(probabilityU8, width, height, tumor, threshold, rule) {
  if (!rule) return { mask: new Uint8Array(tumor.length), area: 0, regions: 0, pixels: 0, maxLevel: 0 };
  const mask = candidatesOf(probabilityU8, thresholdLevel(Math.min(rule.threshold, threshold)));
  const doubt = { mask, area: 0, regions: 0, pixels: 0, maxLevel: 0 };
  const component = new Int32Array(mask.length);
  for (let seed = 0; seed < mask.length; seed++) {
    if (mask[seed] !== CANDIDATE) continue;
    const size = fill(mask, width, height, seed, component);
    let isOut = size < rule.minPixels;
    let maxLevel = 0;
    for (let i = 0; i < size; i++) {
      if (tumor[component[i]]) isOut = true;
      maxLevel = Math.max(maxLevel, probabilityU8[component[i]]);
    }
    if (isOut) {
      for (let i = 0; i < size; i++) mask[component[i]] = 0;
      continue;
    }
    doubt.regions += 1;
    doubt.area += size;
    if (maxLevel > doubt.maxLevel || (maxLevel === doubt.maxLevel && size > doubt.pixels)) Object.assign(doubt, { pixels: size, maxLevel });
  }
  return doubt;
}

/**
 * What reaches the threshold and is neither in the mask nor in doubt: ml.masks.Masks.uncounted.
 * @param {Uint8Array} probabilityU8 round(255 p), row by row
 * @param {Uint8Array} tumor 1 where tumor, of `tumorMask`
 * @param {Uint8Array} doubtful 1 where in doubt, of `doubtOf`
 * @param {number} threshold of the mask, 0 to 1
 * @returns {Uint8Array} 1 where not counted, else 0; row by row
 */
export function uncountedOf(probabilityU8, tumor, doubtful, threshold) {
  const level = thresholdLevel(threshold);
  const mask = new Uint8Array(probabilityU8.length);
  for (let i = 0; i < mask.length; i++) if (probabilityU8[i] >= level && !tumor[i] && !doubtful[i]) mask[i] = 1;
  return mask;
}

/**
 * @param {Uint8Array} probabilityU8
 * @param {number} level
 */
function candidatesOf(probabilityU8, level) {
  const mask = new Uint8Array(probabilityU8.length);
  for (let i = 0; i < mask.length; i++) if (probabilityU8[i] >= level) mask[i] = CANDIDATE;
  return mask;
}

/**
 * Marks the 8-connected component of `seed` with 1, collects its pixels, and returns their number.
 * @param {Uint8Array} mask
 * @param {number} width
 * @param {number} height
 * @param {number} seed
 * @param {Int32Array} pixels
 */
function fill(mask, width, height, seed, pixels) {
  let size = 0;
  pixels[size++] = seed;
  mask[seed] = 1;
  for (let next = 0; next < size; next++) {
    const x = pixels[next] % width;
    const y = (pixels[next] - x) / width;
    const bottom = Math.min(height - 1, y + 1);
    const right = Math.min(width - 1, x + 1);
    for (let row = Math.max(0, y - 1); row <= bottom; row++) {
      for (let column = Math.max(0, x - 1); column <= right; column++) {
        const at = row * width + column;
        if (mask[at] !== CANDIDATE) continue;
        mask[at] = 1;
        pixels[size++] = at;
      }
    }
  }
  return size;
}

/**
 * The sum of a map's values inside a mask.
 * @param {Uint8Array} probabilityU8
 * @param {Uint8Array} mask 1 where it is, else 0
 */
export function sumInside(probabilityU8, mask) {
  let sum = 0;
  for (let i = 0; i < mask.length; i++) if (mask[i]) sum += probabilityU8[i];
  return sum;
}

/** @typedef {{ model: number, expert: number, both: number }} Overlap pixels of two masks */

/**
 * How a mask and the expert's lie on each other; null where there is none of the expert.
 * @param {Uint8Array} mask 1 where tumor, else 0
 * @param {Uint8Array | null} expert not 0 where tumor
 * @returns {Overlap | null}
 */
export function overlapOf(mask, expert) {
  if (!expert) return null;
  const overlap = { model: 0, expert: 0, both: 0 };
  for (let i = 0; i < mask.length; i++) {
    if (mask[i]) overlap.model += 1;
    if (expert[i]) overlap.expert += 1;
    if (mask[i] && expert[i]) overlap.both += 1;
  }
  return overlap;
}

/**
 * As ml/metrics/overlap.py has them; null where nothing defines them.
 * @param {Overlap} overlap
 */
export function agreementOf({ model, expert, both }) {
  return {
    dice: expert ? (2 * both) / (model + expert) : null,
    iou: expert ? both / (model + expert - both) : null,
    precision: model ? both / model : expert ? 0 : null,
    recall: expert ? both / expert : null,
  };
}

/**
 * Pixels of a mask.
 * @param {Uint8Array} mask 1 where it is, else 0
 */
export function maskArea(mask) {
  let pixels = 0;
  for (let i = 0; i < mask.length; i++) pixels += mask[i];
  return pixels;
}
