// The page to try: what is drawn or brought goes to the server, and what comes back is shown.
import { readAgain } from "./again.js";
import { Drawing } from "./drawing.js";
import { Verdict } from "./verdict.js";

const canvas = document.getElementById("draw");
const thickness = document.getElementById("thickness");
const undo = document.getElementById("undo");
const clear = document.getElementById("clear");
const sheet = canvas.parentElement;
const verdict = new Verdict();
const drawing = new Drawing(canvas, () => Number(thickness.value), changed);

let asking = false;
let waiting = null;

function changed(finished) {
  undo.disabled = clear.disabled = drawing.isEmpty;
  sheet.classList.toggle("empty", drawing.isEmpty);
  if (drawing.isEmpty) {
    waiting = null;
    verdict.clear();
  } else {
    ask({ image: () => drawing.toBlob(), finished });
  }
}

// One question is on its way at a time; of those that come meanwhile, the last one follows.
async function ask(question) {
  waiting = question;
  if (asking) return;
  asking = true;
  verdict.busy(true);
  try {
    while (waiting) {
      const now = waiting;
      waiting = null;
      await answer(now);
    }
  } finally {
    asking = false;
    verdict.busy(false);
  }
}

async function answer({ image, finished }) {
  let said;
  try {
    const body = new FormData();
    body.append("image", await image(), "image");
    const response = await fetch("/v1/classify?explain=1", { method: "POST", body });
    said = await response.json();
    if (response.ok) {
      if (said.version !== (document.getElementById("about").dataset.version || null)) {
        await readAgain("about");
        verdict.nothing = "Nothing is drawn yet.";
      }
      said = said.images[0];
    }
    if (response.status === 429) {
      await new Promise((resolve) => setTimeout(resolve, 250));
      waiting ??= { image, finished };
      return;
    }
  } catch {
    said = { status: "error", sentence: "The server does not answer. Is it still running?" };
  }
  if (!drawing.isEmpty) verdict.show(said, finished);
}

function bring(file) {
  if (!file) return;
  drawing.showImage(file).then(() => {
    undo.disabled = clear.disabled = false;
    sheet.classList.remove("empty");
    ask({ image: async () => file, finished: true });
  });
}

function change(step) {
  thickness.stepUp(step);
}

undo.addEventListener("click", () => drawing.undo());
clear.addEventListener("click", () => drawing.clear());
for (const id of ["choose", "photograph"]) {
  document.getElementById(id).addEventListener("change", ({ target }) => {
    bring(target.files[0]);
    target.value = "";
  });
}
document.addEventListener("paste", ({ clipboardData }) => {
  bring([...clipboardData.files].find((file) => file.type.startsWith("image/")));
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  sheet.classList.add("over");
});
document.addEventListener("dragleave", () => sheet.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  sheet.classList.remove("over");
  bring(event.dataTransfer.files[0]);
});
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
    event.preventDefault();
    drawing.undo();
  } else if (event.ctrlKey || event.metaKey || event.altKey) {
    return;
  } else if (event.key === "Escape" || (event.key === "Delete" && event.target === canvas)) {
    drawing.clear();
  } else if (event.key === "+" || event.key === "=") {
    change(1);
  } else if (event.key === "-") {
    change(-1);
  }
});
changed(true);
