/* The files of a dropped or chosen folder that a data set is made of, with their paths below it. */

const TAKEN = /(\.(tiff?|png|jpe?g|webp)|(^|\/)_annotations\.coco\.json)$/i;

/** @typedef {{ path: string, file: File }} PathFile a file and its path, which begins with the folder's name */

const isTaken = (/** @type {string} */ path) => TAKEN.test(path) && !path.split("/").some((part) => part.startsWith("."));

/* By their flags: Chromium does not give scripts the classes FileSystemDirectoryEntry and FileSystemFileEntry. */
/** @type {(entry: FileSystemEntry) => entry is FileSystemDirectoryEntry} */
const isDirectory = (entry) => entry.isDirectory;
/** @type {(entry: FileSystemEntry) => entry is FileSystemFileEntry} */
const isFile = (entry) => entry.isFile;

/**
 * @param {FileSystemDirectoryEntry} directory
 * @returns {Promise<FileSystemEntry[]>}
 */
function entriesOf(directory) {
  const reader = directory.createReader();
  /** @type {FileSystemEntry[]} */
  const found = [];
  return new Promise((resolve, reject) => {
    const more = () => reader.readEntries((batch) => {
      if (!batch.length) resolve(found);
      else {
        found.push(...batch); // Chromium gives a hundred at a time
        more();
      }
    }, reject);
    more();
  });
}

/**
 * Adds the files below an entry to `files`, and stops where there are more than `most`.
 * @param {FileSystemEntry} entry
 * @param {string} path
 * @param {PathFile[]} files
 * @param {number} most
 */
async function walk(entry, path, files, most) {
  if (files.length > most) return;
  if (isDirectory(entry)) {
    for (const inner of await entriesOf(entry)) await walk(inner, `${path}/${inner.name}`, files, most);
  } else if (isFile(entry) && isTaken(path)) {
    files.push({ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
  }
}

/**
 * The folders and files of a drop; its items must be asked before the event ends. Stops beyond `most` files.
 * @param {DataTransfer} transfer
 * @param {number} most
 */
export async function droppedFiles(transfer, most) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  /** @type {PathFile[]} */
  const files = [];
  for (const entry of entries) await walk(entry, entry.name, files, most);
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * The files of an `<input webkitdirectory>`.
 * @param {FileList} list
 * @returns {PathFile[]}
 */
export function chosenFiles(list) {
  return [...list].map((file) => ({ path: file.webkitRelativePath || file.name, file })).filter(({ path }) => isTaken(path));
}
