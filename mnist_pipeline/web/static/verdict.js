// What the model said: the digit or why it is none, ten bars, and the picture that it saw.

const SIDE = 28;

export class Verdict {
  constructor() {
    this.area = document.getElementById("verdict");
    this.digit = document.getElementById("digit");
    this.sentence = document.getElementById("sentence");
    this.nothing = this.sentence.textContent;
    this.bars = [...document.querySelectorAll("#bars tbody tr")].map((row) => ({
      row,
      bar: row.querySelector("rect"),
      value: row.querySelector(".value"),
    }));
    this.picture = document.getElementById("seen").getContext("2d");
    this.clear();
  }

  // Whether an answer is on its way.
  busy(waiting) {
    this.area.setAttribute("aria-busy", String(waiting));
  }

  clear() {
    this.#say("–", this.nothing, "");
    this.#bars(null, null);
    this.#see(null);
  }

  // `said` is an answer of /v1/classify; while one still draws (`finished` is false), nothing is read aloud.
  show(said, finished) {
    this.area.setAttribute("aria-live", finished ? "polite" : "off");
    if (said.status === "ok") {
      this.#say(String(said.digit), `${percent(said.confidence)} sure`, "ok");
    } else if (said.status === "no_digit") {
      this.#say("No digit", `${capital(said.sentence)}.`, "no-digit");
    } else {
      this.#say("No answer", capital(said.sentence || said.error), "failed");
    }
    this.#bars(said.p0 == null ? null : this.bars.map((_, digit) => said[`p${digit}`]), said.status === "ok" ? said.digit : null);
    this.#see(said.seen ?? null);
  }

  #say(digit, sentence, state) {
    this.area.className = state;
    if (this.digit.textContent !== digit) this.digit.textContent = digit;
    if (this.sentence.textContent !== sentence) this.sentence.textContent = sentence;
  }

  #bars(shares, best) {
    this.bars.forEach(({ row, bar, value }, digit) => {
      bar.setAttribute("width", shares ? 100 * shares[digit] : 0);
      value.textContent = shares ? percent(shares[digit]) : "";
      row.classList.toggle("best", digit === best);
    });
  }

  #see(base64) {
    const image = new ImageData(SIDE, SIDE);
    const pixels = base64 ? atob(base64) : "";
    for (let at = 0; at < SIDE * SIDE; at++) {
      const grey = pixels ? pixels.charCodeAt(at) : 0;
      image.data.set([grey, grey, grey, 255], 4 * at);
    }
    this.picture.putImageData(image, 0, 0);
  }
}

// As the reports write it: 0.98765 is "98.8 %", and what is less than all is never 100 %.
function percent(share) {
  const text = (100 * share).toFixed(1);
  if (share < 1 && Number(text) >= 100) return "> 99.9\u00a0%";
  return `${text}\u00a0%`;
}

function capital(sentence) {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}
