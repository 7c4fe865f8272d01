// The sheet: answers stay in this browser until they are saved as labels.csv.
const images = JSON.parse(document.getElementById("images").textContent);
const save = document.getElementById("save");
const place = `mnist-pipeline-review-${document.body.dataset.review}`;
const answers = new Map(stored());
let saved = true;

function stored() {
  try {
    return JSON.parse(localStorage.getItem(place)) ?? [];
  } catch {
    return [];
  }
}

function changed() {
  saved = false;
  save.disabled = !answers.size;
  try {
    localStorage.setItem(place, JSON.stringify([...answers]));
  } catch {
    // A browser that keeps nothing for files still saves what was answered since the sheet was opened.
  }
}

function quoted(text) {
  return `"${text.replaceAll('"', '""')}"`;
}

save.addEventListener("click", () => {
  const lines = [...answers].map(([number, label]) => `${quoted(images[number].path)},${label}\n`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["path,label\n", ...lines], { type: "text/csv" }));
  link.download = "labels.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // some browsers read it after the click
  saved = true;
});
window.addEventListener("beforeunload", (event) => {
  if (!saved) event.preventDefault();
});
save.disabled = !answers.size;
new Reviewer({
  picture: (number) => images[number].picture,
  keep: async (number, label) => {
    answers.set(number, label);
    changed();
    return images[number].model;
  },
  withdraw: async (number) => {
    answers.delete(number);
    changed();
  },
}).begin([...images.keys()].filter((number) => !answers.has(number)), answers.size);
