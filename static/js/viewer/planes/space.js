/* Where the voxels of a stack lie: the axes of the three planes, mm, and the words of a position. As ml/volumes/planes.py
   has it; no DOM in here. */

/** @typedef {"axial" | "coronal" | "sagittal"} Axis */
/** @typedef {[slice: number, row: number, column: number]} Voxel */
/** @typedef {{ shape: Voxel, factors: Voxel, spacing: Voxel, affine: number[][], has_sides: boolean }} SpaceFacts
   factors: voxels of the scan that became one; spacing: mm; affine: from indices to mm; has_sides: of a patient, RAS */
/** @typedef {{ through: 0 | 1 | 2, down: 0 | 1 | 2, across: 0 | 1 | 2, isUpsideDown: boolean }} PlaneAxes */

/** The stack's axes (0 slices, 1 rows, 2 columns) of each plane. @type {Record<Axis, PlaneAxes>} */
export const AXES = {
  axial: { through: 0, down: 1, across: 2, isUpsideDown: false },
  coronal: { through: 1, down: 0, across: 2, isUpsideDown: true },
  sagittal: { through: 2, down: 0, across: 1, isUpsideDown: true },
};

export class Space {
  /** @param {SpaceFacts} facts */
  constructor({ shape, factors, spacing, affine, has_sides: hasSides }) {
    this.shape = shape;
    this.factors = factors;
    this.spacing = spacing;
    this.affine = affine;
    this.hasSides = hasSides;
    this.strides = [shape[1] * shape[2], shape[2], 1];
    this.voxels = shape[0] * shape[1] * shape[2];
  }

  get isReduced() {
    return this.factors.some((factor) => factor > 1);
  }

  /** @param {Voxel} voxel */
  at([slice, row, column]) {
    return slice * this.strides[0] + row * this.strides[1] + column;
  }

  /**
   * The middle of a voxel, in mm.
   * @param {Voxel} voxel
   */
  toMm([slice, row, column]) {
    return this.affine.slice(0, 3).map(([a, b, c, d]) => a * slice + b * row + c * column + d);
  }

  /**
   * @param {number[]} mm
   * @returns {string} with what they count to: the patient's right, front and head, or columns, rows and slices. No letter stands
   *   before a figure: a file's origin need not lie between left and right
   */
  words(mm) {
    return `${this.hasSides ? "RAS" : "x y z"} ${mm.map((value) => value.toFixed(1)).join("  ")} mm`;
  }

  /**
   * The first slice of the scan that is in a slice of the space, and the other way round.
   * @param {number} slice
   */
  toScanSlice(slice) {
    return slice * this.factors[0];
  }

  /** @param {number} slice of the scan */
  fromScanSlice(slice) {
    return Math.min(this.shape[0] - 1, Math.floor(slice / this.factors[0]));
  }
}
