/* DICOM files of a drop: told by their bytes, since scanners give them any name. Those of one examination are sent together, whatever their
   folders, so that no series is cut; which of them are one scan, the server says. */
/** @import { PathFile } from "../core/folders.js" */
import { PICTURE } from "./grouping.js";

const MAGIC_AT = 128; // PS3.10 7.1
const HEAD_BYTES = 32_768; // group 0020 stands behind what scanners write first
const AT_ONCE = 64; // files that are looked into at the same time
const STUDY = 0x0d; // (0020,000D) StudyInstanceUID
const SERIES = 0x0e; // (0020,000E) SeriesInstanceUID
const OTHER = /\.(nii|gz|zip)$/i; // no DICOM by its name, as pictures are none

/**
 * A DICOMDIR, which lists the images of a disc under this one name (PS3.10 8.6).
 * @param {PathFile} file
 */
export const isDiscIndex = ({ path }) => /(^|\/)dicomdir$/i.test(path);

/**
 * Pictures in the folder of a DICOMDIR, or below it (of its content, dropped without the folder, those in folders): of a disc's own viewer, its help and its labels; its images are DICOM.
 * @param {PathFile[]} files
 * @param {PathFile[]} indexes
 */
export function picturesOfDiscs(files, indexes) {
  const discs = indexes.map(({ path }) => path.slice(0, -"DICOMDIR".length));
  return files.filter(({ path }) => PICTURE.test(path) && path.includes("/") && discs.some((disc) => path.startsWith(disc)));
}

/** @typedef {{ name: string, folder: string, files: PathFile[], masks: PathFile[] }} Examination folder: that makes its scans a study */

/**
 * A UID of group 0020, little-endian with or without VR; empty where there is none, as in deflated files.
 * @param {Uint8Array} bytes
 * @param {number} element
 */
function uidOf(bytes, element) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = MAGIC_AT + 4; at < bytes.length - 8; at += 2) { // elements have even lengths (PS3.5 7.1.1)
    if (bytes[at] !== 0x20 || bytes[at + 1] || bytes[at + 2] !== element || bytes[at + 3]) continue;
    const hasVr = bytes[at + 4] === 0x55 && bytes[at + 5] === 0x49; // UI
    const length = hasVr ? view.getUint16(at + 6, true) : view.getUint32(at + 4, true);
    if (length > 64 || at + 8 + length > bytes.length) continue;
    const uid = new TextDecoder("latin1").decode(bytes.subarray(at + 8, at + 8 + length)).replace(/[\0 ]+$/, "");
    if (/^[0-9.]+$/.test(uid)) return uid;
  }
  return "";
}

/**
 * The examination and the series of a file; null where it is no DICOM.
 * @param {PathFile} file
 */
async function uidsOf({ path, file }) {
  if (PICTURE.test(path) || OTHER.test(path) || file.size < MAGIC_AT + 4) return null;
  try {
    const bytes = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
    if (new TextDecoder("latin1").decode(bytes.subarray(MAGIC_AT, MAGIC_AT + 4)) !== "DICM") return null;
    return { study: uidOf(bytes, STUDY), series: uidOf(bytes, SERIES) };
  } catch {
    return null; // gone by now: its upload says so
  }
}

/**
 * The innermost folder around all files; empty where there is none.
 * @param {PathFile[]} files
 */
function folderAround(files) {
  const [first, ...others] = files.map(({ path }) => path.split("/").slice(0, -1));
  let depth = first.length;
  for (const folders of others) while (first.slice(0, depth).join("/") !== folders.slice(0, depth).join("/")) depth -= 1;
  return first[depth - 1] ?? "";
}

/**
 * The DICOM files of each examination, to be sent together, or series by series where that is too much for one request. Those of several
 * series are a study, named by its folder.
 * @param {PathFile[]} files
 * @param {number} mostBytes of one request
 * @returns {Promise<Examination[]>}
 */
export async function examinationsOf(files, mostBytes) {
  /** @type {Map<string, Map<string, PathFile[]>>} files by examination and series */
  const found = new Map();
  for (let start = 0; start < files.length; start += AT_ONCE) {
    const some = files.slice(start, start + AT_ONCE);
    for (const [place, uids] of (await Promise.all(some.map(uidsOf))).entries()) {
      if (!uids) continue;
      const series = found.get(uids.study) ?? new Map();
      found.set(uids.study, series);
      series.set(uids.series, [...(series.get(uids.series) ?? []), some[place]]);
    }
  }
  /** @type {Map<string, number>} */
  const taken = new Map();
  return [...found.values()].flatMap((series) => {
    const inside = [...series.values()].flat();
    const around = folderAround(inside);
    const times = (taken.get(around) ?? 0) + 1;
    taken.set(around, times);
    const folder = around && times > 1 ? `${around} (${times})` : around; // another examination of one folder is another study
    const isOne = inside.reduce((sum, { file }) => sum + file.size, 0) <= mostBytes;
    return (isOne ? [inside] : [...series.values()]).map((sent) => ({
      name: sent.length === 1 ? sent[0].file.name : (isOne ? folder : folderAround(sent)) || "DICOM series",
      folder: series.size > 1 ? folder : "",
      files: sent,
      masks: [],
    }));
  });
}
