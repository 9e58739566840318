/* The files of a drop or a chosen folder, with their paths. Hidden files (.DS_Store) are none. */

/** @typedef {{ path: string, file: File }} PathFile a file and its path, which begins with the dropped folder's name */

/* What systems leave in folders: those of ml/datasets/file_names.py; a test holds them equal. */
const OF_SYSTEMS = /^(\.(?!.*\.icloud$).*|thumbs\.db|ehthumbs\.db|desktop\.ini|icon\r|__macosx|@eadir|@tmp|lost\+found|\$recycle\.bin|recycler|#recycle|@recycle|system volume information)$/i;
const isHidden = (/** @type {string} */ path) => path.split("/").some((part) => OF_SYSTEMS.test(part));

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
  if (files.length > most || isHidden(path)) return;
  if (isDirectory(entry)) {
    for (const inner of await entriesOf(entry)) await walk(inner, `${path}/${inner.name}`, files, most);
  } else if (isFile(entry)) {
    files.push({ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
  }
}

const inOrder = new Intl.Collator("en", { numeric: true }); // 2 before 10

/** @type {(a: PathFile, b: PathFile) => number} folders give their files in any order */
const byPath = (a, b) => inOrder.compare(a.path, b.path) || (a.path < b.path ? -1 : 1);

/**
 * The files of a drop, and those of its folders by their paths; its items must be asked before the event ends. Stops beyond `most` files.
 * @param {DataTransfer} transfer
 * @param {number} most
 * @returns {Promise<PathFile[]>}
 */
export async function droppedFiles(transfer, most) {
  const plain = [...transfer.files].map((file) => ({ path: file.name, file }));
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (!entries.some(isDirectory)) return plain; // in the order in which they were chosen
  /** @type {PathFile[]} */
  const files = [];
  for (const entry of entries) await walk(entry, entry.name, files, most);
  return files.sort(byPath);
}

/**
 * The files of an `<input>`, those of one with `webkitdirectory` by their paths.
 * @param {FileList} list
 * @returns {PathFile[]}
 */
export function chosenFiles(list) {
  const files = [...list].map((file) => ({ path: file.webkitRelativePath || file.name, file })).filter(({ path }) => !isHidden(path));
  return files.some(({ path }) => path.includes("/")) ? files.sort(byPath) : files;
}
