/* DICOM files of a drop: told by their bytes, since scanners give them any name; which of them are one scan, the server says. */
/** @import { PathFile } from "../core/folders.js" */

const MAGIC_AT = 128; // PS3.10 7.1
const PICTURE = /\.(png|jpe?g|jpe|jfif|tiff?|webp|nii|gz|zip)$/i;

/** @param {PathFile} file */
async function isDicom({ path, file }) {
  if (PICTURE.test(path) || file.size < MAGIC_AT + 4) return false;
  try {
    return (await file.slice(MAGIC_AT, MAGIC_AT + 4).text()) === "DICM";
  } catch {
    return false; // gone by now: its upload says so
  }
}

/**
 * The DICOM files of each folder, to be sent together.
 * @param {PathFile[]} files
 * @returns {Promise<{ name: string, files: PathFile[], masks: PathFile[] }[]>}
 */
export async function seriesOf(files) {
  const found = await Promise.all(files.map(isDicom));
  /** @type {Map<string, PathFile[]>} */
  const folders = new Map();
  for (const file of files.filter((_, place) => found[place])) {
    const folder = file.path.replace(/\/?[^/]*$/, "");
    folders.set(folder, [...(folders.get(folder) ?? []), file]);
  }
  return [...folders].map(([folder, inside]) => ({
    name: inside.length === 1 ? inside[0].file.name : folder.replace(/^.*\//, "") || "DICOM series",
    files: inside,
    masks: [],
  }));
}
