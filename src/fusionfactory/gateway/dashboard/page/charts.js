// Lines over time and intervals, drawn as SVG like the reports' plots.

import { el, svg } from "./dom.js";
import { MISSING, clock } from "./figures.js";

const WIDTH = 420;
const HEIGHT = 150;
const [LEFT, RIGHT, TOP, BOTTOM] = [54, 410, 8, 126];

const RING = "m-1.6,0a1.6,1.6 0 1,0 3.2,0a1.6,1.6 0 1,0 -3.2,0";
const known = (value) => typeof value === "number" && Number.isFinite(value);

/** The smallest of 1, 2, 5 x 10^n that is no less than the value. */
export const roundUp = (value) => {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * [1, 2, 5, 10].find((factor) => factor * unit >= value * (1 - 1e-9));
};

/** Pieces of a line without its gaps, as SVG path data; a point alone becomes a small ring. */
export const path = (values, x, y) => {
  let drawn = "";
  let open = false;
  values.forEach((value, i) => {
    if (!known(value)) { open = false; return; }
    const alone = !open && !known(values[i + 1]);
    drawn += `${open ? "L" : "M"}${x(i).toFixed(1)},${y(value).toFixed(1)}${alone ? RING : ""}`;
    open = true;
  });
  return drawn;
};

/** A chart that keeps its place, its size and its cursor while its figures change. */
export class Chart {
  /**
   * @param title What is shown, with its unit.
   * @param lines [{ name, colour, of: (point) => number, dash }].
   * @param text  (number) => text with its unit.
   */
  constructor({ title, lines, text }) {
    Object.assign(this, { lines, text, points: [], cursor: null });
    this.drawing = svg("svg", {
      class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, tabindex: 0, role: "img", "aria-label": title,
      pointermove: (event) => this.#point(event),
      pointerleave: () => this.#move(null),
      keydown: (event) => this.#key(event),
      blur: () => this.#move(null),
    });
    this.readout = el("output", { class: "readout" });
    const key = lines.map(({ name, colour, dash }) => el("li", {},
      svg("svg", { class: "swatch", viewBox: "0 0 24 10", width: 24, height: 10, "aria-hidden": "true" },
        svg("line", { x1: 0, x2: 24, y1: 5, y2: 5, class: `curve ${colour}`, "stroke-dasharray": dash })),
      name));
    this.node = el("figure", { class: "figure" },
      el("figcaption", {}, el("b", {}, title), el("ul", { class: "key" }, key)), this.drawing, this.readout);
    this.update([]);
  }

  /** New figures: points with `at`, in Unix seconds. */
  update(points) {
    this.points = points;
    if (this.cursor !== null && this.cursor >= points.length) this.cursor = null;
    this.#draw();
  }

  #x(i) { return LEFT + ((i + 0.5) * (RIGHT - LEFT)) / Math.max(1, this.points.length); }

  #draw() {
    const values = this.lines.map((line) => this.points.map(line.of));
    const most = Math.max(0, ...values.flat().filter(known));
    const top = roundUp(most);
    const y = (value) => BOTTOM - (value / top) * (BOTTOM - TOP);
    const parts = [0, 0.5, 1].flatMap((share) => [
      svg("line", { x1: LEFT, x2: RIGHT, y1: y(share * top), y2: y(share * top), class: "grid" }),
      most > 0 || share === 0
        ? svg("text", { x: LEFT - 6, y: y(share * top) + 4, class: "tick end" }, this.text(share * top)) : null,
    ]);
    const ends = [[LEFT, this.points[0]?.at, "tick"], [RIGHT, this.points.at(-1)?.at, "tick end"]];
    ends.forEach(([x, at, kind]) => {
      if (known(at)) parts.push(svg("text", { x, y: BOTTOM + 18, class: kind }, clock(at)));
    });
    if (most > 0) values.forEach((line, i) => parts.push(svg("path", {
      d: path(line, (place) => this.#x(place), y), class: `curve ${this.lines[i].colour}`,
      "stroke-dasharray": this.lines[i].dash,
    })));
    if (!(most > 0)) {
      parts.push(svg("text", { x: (LEFT + RIGHT) / 2, y: (TOP + BOTTOM) / 2 - 8, class: "axis middle" }, "nothing in this time"));
    }
    this.cursorLine = svg("line", { y1: TOP, y2: BOTTOM, class: "cursor" });
    this.drawing.replaceChildren(...parts.filter(Boolean), this.cursorLine);
    this.#move(this.cursor);
  }

  #point(event) {
    const box = this.drawing.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    const place = Math.floor(((x - LEFT) / (RIGHT - LEFT)) * this.points.length);
    this.#move(place >= 0 && place < this.points.length ? place : null);
  }

  #key(event) {
    const last = this.points.length - 1;
    if (last < 0) return;
    const from = this.cursor ?? last;
    const to = { ArrowLeft: Math.max(0, from - 1), ArrowRight: Math.min(last, from + 1), Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#move(to);
  }

  #move(place) {
    this.cursor = place;
    const point = place === null ? null : this.points[place];
    this.cursorLine.classList.toggle("hidden", !point);
    if (!point) {
      this.readout.textContent = "";
      return;
    }
    this.cursorLine.setAttribute("x1", this.#x(place));
    this.cursorLine.setAttribute("x2", this.#x(place));
    const shown = this.lines.map((line) => {
      const value = line.of(point);
      return `${line.name} ${known(value) ? this.text(value) : MISSING}`;
    });
    this.readout.textContent = `${clock(point.at)}: ${shown.join(", ")}`;
  }
}

const [SPAN, TALL] = [130, 22];

/** A mean and its interval between 0 and 1, small enough for a cell of a table. */
export const whisker = (mean, pair) => {
  const x = (value) => 6 + Math.min(1, Math.max(0, value)) * (SPAN - 12);
  const middle = TALL / 2;
  const line = (x1, x2, y1, y2, kind) => svg("line", { x1, x2, y1, y2, class: kind });
  const drawn = pair && known(pair[0]) && known(pair[1])
    ? [line(x(pair[0]), x(pair[1]), middle, middle, "whisker"),
      ...pair.map((end) => line(x(end), x(end), middle - 4, middle + 4, "whisker"))]
    : [];
  return svg("svg", { class: "whiskers", viewBox: `0 0 ${SPAN} ${TALL}`, width: SPAN, height: TALL, "aria-hidden": "true" },
    line(x(0), x(1), TALL - 1, TALL - 1, "grid"), line(x(0.5), x(0.5), 4, TALL - 1, "null"),
    drawn, known(mean) ? svg("circle", { cx: x(mean), cy: middle, r: 3.6, class: "dot" }) : null);
};

/** A share of 1 as a bar; the number belongs beside it. */
export const meter = (share, colour = "") => {
  const bar = el("i", { class: colour });
  bar.style.width = `${100 * Math.min(1, Math.max(0, share ?? 0))}%`;
  return el("span", { class: "meter", "aria-hidden": "true" }, bar);
};
