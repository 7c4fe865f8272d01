// Strokes on a canvas, by mouse, finger or pen; or an image that was brought.

const PAPER = "#ffffff";
const INK = "#141a22";

export class Drawing {
  // `width` gives the pen's width in canvas pixels; `changed(finished)` is called after every change.
  constructor(canvas, width, changed) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.width = width;
    this.changed = changed;
    this.strokes = [];
    this.image = null;
    this.open = new Map(); // pointer -> its stroke
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#go(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => this.#end(event));
    }
    this.#redraw();
  }

  get isEmpty() {
    return !this.image && this.strokes.length === 0;
  }

  undo() {
    if (this.strokes.length) this.strokes.pop();
    else this.image = null;
    this.#redraw();
    this.changed(true);
  }

  clear() {
    this.strokes = [];
    this.image = null;
    this.open.clear();
    this.#redraw();
    this.changed(true);
  }

  // Shows an image file in place of what is drawn; one that the browser cannot show leaves the sheet blank.
  async showImage(file) {
    this.strokes = [];
    this.image = await createImageBitmap(file).catch(() => "unknown");
    this.#redraw();
  }

  toBlob() {
    return new Promise((resolve) => this.canvas.toBlob(resolve, "image/png"));
  }

  #begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const stroke = { width: this.width(), points: [this.#point(event)] };
    this.strokes.push(stroke);
    this.open.set(event.pointerId, stroke);
    this.#draw(stroke, 0);
    this.changed(false);
  }

  #go(event) {
    const stroke = this.open.get(event.pointerId);
    if (!stroke) return;
    event.preventDefault();
    const first = stroke.points.length;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) stroke.points.push(this.#point(one));
    this.#draw(stroke, first);
    this.changed(false);
  }

  #end(event) {
    if (this.open.delete(event.pointerId)) this.changed(true);
  }

  // Where the pointer is, in canvas pixels, and how hard a pen presses (1: as a mouse does).
  #point(event) {
    const box = this.canvas.getBoundingClientRect();
    const pressure = event.pointerType === "pen" && event.pressure > 0 ? 0.4 + 1.2 * event.pressure : 1;
    return {
      x: ((event.clientX - box.left) / box.width) * this.canvas.width,
      y: ((event.clientY - box.top) / box.height) * this.canvas.height,
      pressure,
    };
  }

  #redraw() {
    const { context, canvas } = this;
    context.fillStyle = PAPER;
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (this.image instanceof ImageBitmap) {
      const scale = Math.min(canvas.width / this.image.width, canvas.height / this.image.height);
      const [width, height] = [this.image.width * scale, this.image.height * scale];
      context.imageSmoothingEnabled = scale < 1;
      context.drawImage(this.image, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
    }
    for (const stroke of this.strokes) this.#draw(stroke, 0);
  }

  // Draws a stroke from its point `first` on.
  #draw({ width, points }, first) {
    const { context } = this;
    context.strokeStyle = context.fillStyle = INK;
    context.lineCap = context.lineJoin = "round";
    for (let at = first; at < points.length; at++) {
      const to = points[at];
      const from = points[at - 1] ?? to;
      context.lineWidth = width * to.pressure;
      context.beginPath();
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
      context.stroke();
    }
  }
}
