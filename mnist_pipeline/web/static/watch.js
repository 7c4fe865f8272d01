// The page of a run: its curves, live where it goes on; and what its files say, read again whenever they change.
import { readAgain } from "./again.js";
import { Chart } from "./charts.js";

const page = document.getElementById("run");
const charts = {
  "loss-by-batch": new Chart(svg("loss-by-batch"), { lines: ["training"], across: "batch" }),
  "accuracy-by-batch": new Chart(svg("accuracy-by-batch"), { lines: ["training"], top: 1, across: "batch" }),
  "loss-by-epoch": new Chart(svg("loss-by-epoch"), { lines: ["training", "validation"], across: "epoch" }),
  "accuracy-by-epoch": new Chart(svg("accuracy-by-epoch"), { lines: ["training", "validation"], top: 1, across: "epoch" }),
};
const latest = document.getElementById("latest");
let began = performance.now(); // of the step that is under way

function svg(name) {
  return document.querySelector(`#${name} svg`);
}

function take(lines) {
  for (const { begin, batch, loss, accuracy, epoch } of lines) {
    if (begin) {
      for (const [name, chart] of Object.entries(charts)) {
        chart.clear();
        chart.end = name.endsWith("batch") ? begin.batches : begin.epochs;
      }
    } else if (epoch) {
      charts["loss-by-epoch"].add(0, epoch.epoch, epoch.loss);
      charts["loss-by-epoch"].add(1, epoch.epoch, epoch.val_loss);
      charts["accuracy-by-epoch"].add(0, epoch.epoch, epoch.accuracy);
      charts["accuracy-by-epoch"].add(1, epoch.epoch, epoch.val_accuracy);
    } else {
      charts["loss-by-batch"].add(0, batch, loss);
      charts["accuracy-by-batch"].add(0, batch, accuracy);
    }
  }
  for (const chart of Object.values(charts)) chart.draw();
  const last = lines.findLast((line) => line.batch);
  if (last && page.dataset.live) {
    latest.textContent = `Batch ${last.batch.toLocaleString("en")}: loss ${last.loss.toFixed(3)}, accuracy ${(100 * last.accuracy).toFixed(1)} %`;
  }
}

async function changed() {
  await readAgain("facts", "examples", "layers", "results");
  clock();
}

// How long the step that is under way takes so far, counted on from what the server said.
function clock() {
  const elapsed = document.getElementById("elapsed");
  if (!elapsed) return;
  if (!elapsed.textContent) began = performance.now() - 1000 * elapsed.dataset.seconds;
  const seconds = Math.round((performance.now() - began) / 1000);
  const minutes = Math.floor(seconds / 60);
  elapsed.textContent = minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

for (const chart of Object.values(charts)) chart.draw();
clock();
if (page.dataset.live) setInterval(clock, 1000);
if (page.dataset.live) {
  const events = new EventSource(`${location.pathname}/events`);
  events.addEventListener("curve", ({ data }) => take(JSON.parse(data)));
  events.addEventListener("record", changed);
  events.addEventListener("end", async () => {
    events.close();
    await changed();
    delete page.dataset.live;
    latest.textContent = "";
    take(await (await fetch(`${location.pathname}/curve.json`)).json());
  });
} else {
  take(await (await fetch(`${location.pathname}/curve.json`)).json());
}
