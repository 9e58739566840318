/* Packs files into a stored zip (PKWARE's APPNOTE 6.3.10, without compression: images are compressed already).
   The files' bytes are read once for their sums and not copied: the archive is a Blob of references. */
/** @import { PathFile } from "./folders.js" */

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const VERSION = 20;
const UTF8 = 0x0800; // bit 11: names are UTF-8 (APPNOTE 4.4.4)
const LARGEST = 0xffffffff; // no ZIP64: the server takes less than that
const MOST = 0xffff;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

/**
 * CRC-32 of ISO 3309, as zip uses it.
 * @param {Uint8Array} bytes
 */
export function crc32(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

/**
 * @param {number} size in bytes
 * @param {(view: DataView) => void} fill
 */
function header(size, fill) {
  const buffer = new ArrayBuffer(size);
  fill(new DataView(buffer));
  return new Uint8Array(buffer);
}

/**
 * A file's own header (APPNOTE 4.3.7).
 * @param {Uint8Array} name
 * @param {number} sum
 * @param {number} size
 */
function local(name, sum, size) {
  return header(30, (view) => {
    view.setUint32(0, LOCAL, true);
    view.setUint16(4, VERSION, true);
    view.setUint16(6, UTF8, true);
    view.setUint16(12, 0x21, true); // 1980-01-01: a date that every reader takes
    view.setUint32(14, sum, true);
    view.setUint32(18, size, true);
    view.setUint32(22, size, true);
    view.setUint16(26, name.length, true);
  });
}

/**
 * A file's entry in the central directory (APPNOTE 4.3.12).
 * @param {Uint8Array} name
 * @param {number} sum
 * @param {number} size
 * @param {number} offset of its own header
 */
function central(name, sum, size, offset) {
  return header(46, (view) => {
    view.setUint32(0, CENTRAL, true);
    view.setUint16(4, VERSION, true);
    view.setUint16(6, VERSION, true);
    view.setUint16(8, UTF8, true);
    view.setUint16(14, 0x21, true);
    view.setUint32(16, sum, true);
    view.setUint32(20, size, true);
    view.setUint32(24, size, true);
    view.setUint16(28, name.length, true);
    view.setUint32(42, offset, true);
  });
}

/**
 * Packs files in their order. `onProgress(fraction)` runs from 0 to 1.
 * Throws RangeError where the archive would need ZIP64, and an aborted signal's reason.
 * @param {PathFile[]} files
 * @param {{ onProgress?: (fraction: number) => void, signal?: AbortSignal }} [options]
 * @returns {Promise<Blob>}
 */
export async function zip(files, { onProgress = () => {}, signal } = {}) {
  if (files.length > MOST) throw new RangeError(`A folder of ${files.length} files is too large; choose a smaller one.`);
  /** @type {BlobPart[]} */
  const parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const directory = [];
  let offset = 0;
  for (const [index, { path, file }] of files.entries()) {
    signal?.throwIfAborted();
    const name = new TextEncoder().encode(path);
    const sum = crc32(new Uint8Array(await file.arrayBuffer()));
    parts.push(local(name, sum, file.size), name, file);
    directory.push(central(name, sum, file.size, offset), name);
    offset += 30 + name.length + file.size;
    if (offset > LARGEST) throw new RangeError("The folder has more than 4 GB; choose a smaller one.");
    onProgress((index + 1) / files.length);
  }
  const size = directory.reduce((total, part) => total + part.length, 0);
  const end = header(22, (view) => {
    view.setUint32(0, END, true);
    view.setUint16(8, files.length, true);
    view.setUint16(10, files.length, true);
    view.setUint32(12, size, true);
    view.setUint32(16, offset, true);
  });
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
