/* The mask rule, as ml/masks.py has it: a pixel belongs to the tumor where q >= ceil(255 threshold), and 8-connected
   components smaller than the smallest tumor are dropped. No DOM in here: a test compares it with the server's, pixel by pixel. */

/** The smallest q (1..255) that counts as tumor; 1e-6 absorbs the rounding error of 255 * threshold, as ml/masks.py does. */
export function smallestQ(threshold) {
  return Math.max(1, Math.ceil(255 * threshold - 1e-6));
}

/**
 * The tumor mask of one slice.
 * @param {Uint8Array} q probability map, round(255 p), row by row
 * @param {number} threshold in [0, 1]
 * @param {number} minPixels components with fewer pixels are dropped
 * @returns {Uint8Array} 1 where tumor, else 0; same size as q
 */
export function tumorMask(q, width, height, threshold, minPixels) {
  const least = smallestQ(threshold);
  const mask = new Uint8Array(q.length);
  for (let i = 0; i < q.length; i++) if (q[i] >= least) mask[i] = 2; // 2: above the threshold, component not yet measured
  const component = new Int32Array(q.length); // a queue: its first `size` entries are the component's pixels
  for (let seed = 0; seed < mask.length; seed++) {
    if (mask[seed] !== 2) continue;
    const size = fill(mask, width, height, seed, component);
    if (size >= minPixels) continue;
    for (let i = 0; i < size; i++) mask[component[i]] = 0;
  }
  return mask;
}

/* Marks the 8-connected component of `seed` with 1, collects its pixels, and returns their number. */
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

/** Pixels of a mask. */
export function maskArea(mask) {
  let pixels = 0;
  for (let i = 0; i < mask.length; i++) pixels += mask[i];
  return pixels;
}
