/* The mask rule, as ml/masks.py has it: a pixel belongs to the tumor where round(255 p) >= ceil(255 threshold), and 8-connected
   components smaller than the smallest tumor are dropped. No DOM in here: a test compares it with the server's, pixel by pixel. */

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
 * @returns {Uint8Array} 1 where tumor, else 0; row by row
 */
export function tumorMask(probabilityU8, width, height, threshold, minPixels) {
  const level = thresholdLevel(threshold);
  const mask = new Uint8Array(width * height);
  for (let i = 0; i < mask.length; i++) if (probabilityU8[i] >= level) mask[i] = 2; // 2: above the threshold, component not yet measured
  const component = new Int32Array(mask.length); // a queue: its first `size` entries are the component's pixels
  for (let seed = 0; seed < mask.length; seed++) {
    if (mask[seed] !== 2) continue;
    const size = fill(mask, width, height, seed, component);
    if (size >= minPixels) continue;
    for (let i = 0; i < size; i++) mask[component[i]] = 0;
  }
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
        if (mask[at] !== 2) continue;
        mask[at] = 1;
        pixels[size++] = at;
      }
    }
  }
  return size;
}

/**
 * Tumor pixels of a mask.
 * @param {Uint8Array} mask 1 where tumor, else 0
 */
export function maskArea(mask) {
  let pixels = 0;
  for (let i = 0; i < mask.length; i++) pixels += mask[i];
  return pixels;
}
