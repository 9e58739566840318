/* The files of a dropped or chosen folder that a data set is made of, with their paths below it. */

const TAKEN = /(\.(tiff?|png|jpe?g|webp)|(^|\/)_annotations\.coco\.json)$/i;

const isTaken = (path) => TAKEN.test(path) && !path.split("/").some((part) => part.startsWith("."));

function entriesOf(directory) {
  const reader = directory.createReader();
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

async function walk(entry, path, files, most) {
  if (files.length > most) return;
  if (entry.isFile) {
    if (isTaken(path)) files.push({ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
    return;
  }
  for (const inner of await entriesOf(entry)) await walk(inner, `${path}/${inner.name}`, files, most);
}

/** The folders and files of a drop; its items must be asked before the event ends. Stops beyond `most` files. */
export async function droppedFiles(transfer, most) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [];
  for (const entry of entries) await walk(entry, entry.name, files, most);
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The files of an `<input webkitdirectory>`. */
export function chosenFiles(list) {
  return [...list].map((file) => ({ path: file.webkitRelativePath || file.name, file })).filter(({ path }) => isTaken(path));
}
