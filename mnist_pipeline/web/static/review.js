// The page to review: who answers is asked once; each answer is on the server's disk before the next picture shows.
const PLACE = "mnist-pipeline-reviewer";
const who = document.getElementById("who");
const name = document.getElementById("name");
const as = document.getElementById("as");
const problem = document.getElementById("problem");
let by = "";

async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Error("Not kept: the server does not answer. Is it still running?");
  }
  const said = await response.json().catch(() => ({ error: "the server failed" }));
  if (!response.ok) throw new Error(`Not kept: ${said.error}.`);
  return said;
}

function answer(image, label) {
  return ask("/review/answers", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ image, label, by }),
  });
}

const reviewer = new Reviewer({
  picture: (image) => `/review/pictures/${image}`,
  keep: async (image, label) => (await answer(image, label)).model,
  withdraw: (image) => answer(image, null),
});

async function begin() {
  problem.textContent = "";
  try {
    const queue = await ask(`/review/queue?by=${encodeURIComponent(by)}`);
    who.hidden = true;
    as.hidden = false;
    document.getElementById("by").textContent = by;
    await reviewer.begin(queue.images, queue.answered);
  } catch (error) {
    problem.textContent = error.message.replace(/^Not kept: /, "");
  }
}

who.addEventListener("submit", (event) => {
  event.preventDefault();
  by = name.value.trim();
  if (!by) return;
  localStorage.setItem(PLACE, by);
  name.blur();
  begin();
});
document.getElementById("change").addEventListener("click", () => {
  reviewer.area.hidden = as.hidden = true;
  who.hidden = false;
  name.focus();
});
by = name.value = localStorage.getItem(PLACE) ?? "";
if (by) begin();
