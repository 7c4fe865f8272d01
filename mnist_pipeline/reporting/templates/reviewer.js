// Shows one picture after another and takes an answer to each: by keys, by touch, by screen reader. The page that is
// served and the sheet that is a file have this in common; where answers go, `source` knows.
"use strict";

class Reviewer {
  #source;
  #queue = [];
  #given = []; // [picture, label], label null where it was skipped: what Undo takes back
  #busy = true;
  #answered = 0;

  // source: picture(id) -> address; keep(id, label) -> what the model said, once the answer is safe; withdraw(id).
  constructor(source) {
    this.#source = source;
    const find = (id) => document.getElementById(id);
    this.area = find("reviewer");
    this.image = find("picture");
    this.said = find("said");
    this.finished = find("finished");
    this.bar = find("bar");
    this.count = find("count");
    this.skip = find("skip-picture");
    this.undo = find("undo-answer");
    this.labels = [...this.area.querySelectorAll("[data-label]")];
    this.labels.forEach((button) => button.addEventListener("click", () => this.#answer(button.dataset.label)));
    this.skip.addEventListener("click", () => this.#skip());
    this.undo.addEventListener("click", () => this.#undo());
    document.addEventListener("keydown", (event) => this.#key(event));
  }

  begin(queue, answered) {
    this.#queue = [...queue];
    this.#given = [];
    this.#answered = answered;
    this.area.hidden = false;
    this.said.textContent = "";
    return this.#alone(() => this.#show());
  }

  #key(event) {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || this.area.hidden) return;
    if (event.target instanceof HTMLInputElement) return;
    const key = event.key.toLowerCase();
    if (/^[0-9]$/.test(key)) this.#answer(key);
    else if (key === "x") this.#answer("none");
    else if (key === "s") this.#skip();
    else if (key === "u") this.#undo();
    else return;
    event.preventDefault();
  }

  // One thing at a time: a key that is pressed before the next picture is there was not meant for it.
  async #alone(work) {
    this.#busy = true;
    this.area.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      this.#say(error.message, "failed");
    } finally {
      this.#busy = false;
      this.area.setAttribute("aria-busy", "false");
    }
  }

  #answer(label) {
    if (this.#busy || !this.#queue.length) return;
    const picture = this.#queue[0];
    this.#alone(async () => {
      const model = await this.#source.keep(picture, label);
      this.#say(`The one before: you ${words(label)}, the model ${model.text}.`, model.label === label ? "same" : "differs");
      this.#answered += 1;
      await this.#go(picture, label);
    });
  }

  #skip() {
    if (this.#busy || !this.#queue.length) return;
    this.#say("Skipped.", "");
    this.#alone(() => this.#go(this.#queue[0], null));
  }

  #go(picture, label) {
    this.#queue.shift();
    this.#given.push([picture, label]);
    return this.#show();
  }

  #undo() {
    if (this.#busy || !this.#given.length) return;
    const [picture, label] = this.#given.at(-1);
    this.#alone(async () => {
      if (label !== null) {
        await this.#source.withdraw(picture);
        this.#answered -= 1;
      }
      this.#given.pop();
      this.#queue.unshift(picture);
      this.#say(label === null ? "Back at the picture that was skipped." : `Taken back: ${words(label)}.`, "");
      await this.#show();
    });
  }

  async #show() {
    const total = this.#answered + this.#queue.length + this.#skipped;
    this.bar.max = Math.max(total, 1);
    this.bar.value = this.#answered;
    this.count.textContent = `${this.#answered} of ${total} answered`;
    const [picture, next] = this.#queue;
    const over = picture === undefined;
    const focused = document.activeElement;
    this.image.hidden = over;
    this.finished.hidden = !over;
    [...this.labels, this.skip].forEach((button) => (button.disabled = over));
    this.undo.disabled = !this.#given.length;
    if (over) {
      this.finished.textContent = this.#skipped ? `Done, but for ${this.#skipped} skipped.` : "Done: all are answered.";
      if (focused?.disabled) this.finished.focus();
      return;
    }
    this.image.src = this.#source.picture(picture);
    if (next !== undefined) new Image().src = this.#source.picture(next);
    try {
      await this.image.decode();
    } catch {
      throw new Error("This picture cannot be shown. Skip it.");
    }
    this.area.dataset.shown = picture;
  }

  get #skipped() {
    return this.#given.filter(([, label]) => label === null).length;
  }

  #say(sentence, state) {
    this.said.className = state;
    this.said.textContent = sentence;
  }
}

function words(label) {
  return label === "none" ? "no digit" : label;
}
