// Line charts as SVG, small: two axes, a few labels, up to two lines.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 210;
const LEAST_WIDTH = 240;
const BOX = { left: 46, right: 12, top: 10, bottom: 26 };
const MOST_POINTS = 400;
const MOST_STEPS = 5;

export class Chart {
  // `lines` are the names of the lines; `top` is the end of the axis where it is fixed; `across` what the x axis counts.
  constructor(svg, { lines, top = null, across }) {
    this.svg = svg;
    this.top = top;
    this.across = across;
    this.points = lines.map(() => []);
    this.end = 1;
    this.width = 0;
    new ResizeObserver(() => this.#width() !== this.width && this.draw()).observe(svg);
  }

  // A unit of the drawing is a pixel, so that its text has one size on every screen.
  #width() {
    return Math.max(LEAST_WIDTH, Math.round(this.svg.clientWidth));
  }

  clear() {
    this.points.forEach((line) => (line.length = 0));
  }

  add(line, x, y) {
    if (y !== null && Number.isFinite(y)) this.points[line].push([x, y]);
  }

  draw() {
    this.width = this.#width();
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    const all = this.points.flat();
    const start = all.reduce((least, [x]) => Math.min(least, x), this.end);
    const end = Math.max(this.end, start + 1);
    const most = this.top ?? (all.reduce((most, [, y]) => Math.max(most, y), 0) || 1);
    const step = nice(most / MOST_STEPS);
    const steps = Math.ceil(most / step - 1e-9);
    const top = steps * step;
    const x = (value) => BOX.left + ((value - start) / (end - start)) * (this.width - BOX.left - BOX.right);
    const y = (value) => HEIGHT - BOX.bottom - (Math.min(value, top) / top) * (HEIGHT - BOX.top - BOX.bottom);
    const parts = [];
    for (let number = 0; number <= steps; number += 1) {
      const at = y(number * step);
      parts.push(part("line", { class: "grid", x1: BOX.left, x2: this.width - BOX.right, y1: at, y2: at }));
      parts.push(label(String(Number((number * step).toPrecision(3))), BOX.left - 8, at + 4, "end"));
    }
    parts.push(label(String(start), BOX.left, HEIGHT - 6, "start"));
    parts.push(label(`${this.across} ${end.toLocaleString("en")}`, this.width - BOX.right, HEIGHT - 6, "end"));
    this.points.forEach((line, number) => {
      const shown = thinned(line);
      const path = shown.map(([a, b], at) => `${at ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
      parts.push(part("path", { class: `line line-${number}`, d: path }));
      if (shown.length && shown.length <= 40) {
        for (const [a, b] of shown) parts.push(part("circle", { class: `dot line-${number}`, cx: x(a), cy: y(b), r: 2.5 }));
      }
    });
    this.svg.replaceChildren(...parts);
  }
}

// Means of neighbours, where there are more points than a screen can show.
function thinned(line) {
  const size = Math.ceil(line.length / MOST_POINTS);
  if (size <= 1) return line;
  const found = [];
  for (let at = 0; at < line.length; at += size) {
    const group = line.slice(at, at + size);
    const mean = (index) => group.reduce((sum, point) => sum + point[index], 0) / group.length;
    found.push([mean(0), mean(1)]);
  }
  return found;
}

// The next of 1, 2, 2.5, 5 times a power of ten.
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value * (1 - 1e-9));
}

function part(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function label(text, x, y, anchor) {
  const element = part("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}
