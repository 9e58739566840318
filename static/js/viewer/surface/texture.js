/* The volume of the 3-D view: fewer voxels, gray values beside the share of tumor in each. No DOM and no WebGL in here. */

const MOST_OF_A_SIDE = 128; // 4 MB at most, whatever the volume has

/**
 * Two bytes a voxel, columns first.
 * @param {{ shape: [number, number, number], gray: Uint8Array, kinds: Uint8Array, tumor: number }} volume
 *   shape: slices, rows, columns; kinds: `tumor` where tumor
 */
export function textureOf({ shape, gray, kinds, tumor }) {
  const factors = shape.map((size) => Math.ceil(size / MOST_OF_A_SIDE));
  const [deep, tall, wide] = shape.map((size, axis) => Math.max(1, Math.floor(size / factors[axis])));
  const data = new Uint8Array(2 * deep * tall * wide);
  const count = factors[0] * factors[1] * factors[2];
  for (let slice = 0, to = 0; slice < deep; slice++) {
    for (let row = 0; row < tall; row++) {
      for (let column = 0; column < wide; column++, to += 2) {
        let [light, inside] = [0, 0];
        for (let s = 0; s < factors[0]; s++) {
          for (let r = 0; r < factors[1]; r++) {
            const from = ((slice * factors[0] + s) * shape[1] + row * factors[1] + r) * shape[2] + column * factors[2];
            for (let c = 0; c < factors[2]; c++) {
              light += gray[from + c];
              if (kinds[from + c] === tumor) inside += 1;
            }
          }
        }
        data[to] = light / count;
        data[to + 1] = (255 * inside) / count;
      }
    }
  }
  return { data, wide, tall, deep, skin: skinOf(data) };
}

/**
 * The gray value of the head's surface: half of the mean of what is not air.
 * @param {Uint8Array} data
 */
function skinOf(data) {
  let [sum, count] = [0, 0];
  for (let at = 0; at < data.length; at += 2) {
    if (data[at] < 12) continue;
    sum += data[at];
    count += 1;
  }
  return count ? sum / count / 2 : 128;
}
