// Attention in the browser: a matrix and two columns of tokens joined by lines, or an image with its patches; of a large
// image, where one patch looks, and Python is asked for the next. Hovering or focusing a token previews its attention, a click (Enter, Space) pins it, Escape lets it go.

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".attention");
  const kind = !data.grid ? Sentence : data.weights ? Patches : Mosaic;
  if (root.view?.constructor !== kind) {
    root.replaceChildren();
    root.view = new kind(root);
  }
  root.view.send = (patch) => setTriggerValue("choose", [patch, root.view.data.queries.length]);
  root.view.update(data);
}

const SVG = "http://www.w3.org/2000/svg";
const LEVELS = 33;
const SHORT = 15; // letters of a token that have room
const LEAST = 10; // of what is named: a tenth of a percent
const FAINT = 100; // weights below one percent get no line: thousands of them are a grey fog

function element(tag, attributes = {}, parent = null) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent?.append(made);
  return made;
}

function text(parent, words, attributes) {
  element("text", attributes, parent).textContent = words;
}

const percent = (weight) => `${(weight / 100).toFixed(weight === 0 || weight >= 1000 ? 0 : weight < 100 ? 2 : 1)}%`;
const short = (token) => (token.length > SHORT ? `${token.slice(0, SHORT - 1)}…` : token);

// What both pictures share: who is looked at now, the keyboard, the line of words, the file.

class View {
  constructor(root) {
    this.root = root;
    this.panels = this.part("div", "panels");
    this.foot = this.part("div", "foot");
    this.status = this.part("p", "status", this.foot);
    this.status.setAttribute("aria-hidden", "true"); // the buttons' own labels say the same
    this.save = this.part("button", "save", this.foot);
    this.save.type = "button";
    this.save.addEventListener("click", () => this.download());
    this.panels.addEventListener("keydown", (event) => this.keydown(event));
  }

  part(tag, name, parent = this.root) {
    const made = document.createElement(tag);
    made.className = name;
    parent.append(made);
    return made;
  }

  panel(width, height, label, role = "group") {
    const size = { viewBox: `0 0 ${width} ${height}`, role, "aria-label": label };
    const svg = element("svg", size, this.panels);
    svg.style.maxWidth = `${width}px`;
    svg.style.flexBasis = `${0.8 * width}px`; // rather a little smaller than below each other
    return svg;
  }

  update(data) {
    const content = JSON.stringify([data.weights, data.queries, data.keys, data.image]);
    this.data = data;
    this.save.textContent = data.words.save;
    if (content === this.content) return;
    const sides = JSON.stringify([data.queries, data.keys]);
    if (sides !== this.sides) this.pinned = this.first(); // what is pinned stays from head to head
    this.content = content;
    this.sides = sides;
    this.hovered = null;
    this.tokens = { query: [], key: [] };
    this.panels.replaceChildren();
    this.draw();
    this.show();
  }

  first() {
    return null;
  }

  get active() {
    return this.hovered ?? this.pinned;
  }

  // [index, weight] of everything on the other side, the largest first.
  seen({ side, index }) {
    const { weights } = this.data;
    const row = side === "query" ? weights[index] : weights.map((each) => each[index]);
    return row.map((weight, other) => [other, weight]).sort((a, b) => b[1] - a[1]);
  }

  describe(token, most = 4) {
    const { queries, keys, words } = this.data;
    const [own, others] = token.side === "query" ? [queries, keys] : [keys, queries];
    const best = this.seen(token).slice(0, most).filter(([, weight], place) => weight >= LEAST || place === 0);
    const list = best.map(([other, weight]) => `${others[other]} ${percent(weight)}`).join(", ");
    const beyond = token.side === "query" ? this.beyond(token.index) : 0;
    const rest = beyond >= LEAST ? `; ${words.beyond} ${percent(beyond)}` : "";
    return `${own[token.index]} ${words[token.side]} ${list}${rest}`;
  }

  // The share of a patch's attention that falls on what fills up its window beyond the image.
  beyond(index) {
    return this.data.beyond?.[index] ?? 0;
  }

  // A token that can be pointed at, focused and pinned.
  token(side, index, group) {
    const token = { side, index };
    const attributes = { role: "button", "aria-pressed": "false", tabindex: "-1", class: "token" };
    for (const [name, value] of Object.entries(attributes)) group.setAttribute(name, value);
    const place = `${this.data.words.token} ${index + 1}`;
    group.setAttribute("aria-label", `${place}: ${this.describe(token, 3)}`);
    group.addEventListener("pointerenter", () => this.hover(token));
    group.addEventListener("pointerleave", () => this.hover(null));
    group.addEventListener("focus", () => this.focused(token));
    group.addEventListener("blur", () => this.hover(null));
    group.addEventListener("click", () => this.pin(token));
    this.tokens[side][index] = group;
    if (index === 0) group.setAttribute("tabindex", "0");
  }

  hover(token) {
    this.hovered = token;
    this.show();
  }

  focused(token) {
    this.tokens[token.side].forEach((one, index) => one.setAttribute("tabindex", index === token.index ? "0" : "-1"));
    this.hover(token);
  }

  pin(token) {
    const same = this.pinned && this.pinned.side === token.side && this.pinned.index === token.index;
    this.pinned = same ? null : token;
    this.show();
  }

  keydown(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const side = ["query", "key"].find((one) => this.tokens[one].includes(event.target));
    if (!side) return;
    const token = { side, index: this.tokens[side].indexOf(event.target) };
    if (event.key === "Escape") {
      this.pinned = this.hovered = null;
      this.show();
    } else if (event.key === "Enter" || event.key === " ") this.pin(token);
    else {
      const to = this.destination(event.key, token);
      if (!to) return;
      this.tokens[to.side][to.index]?.focus();
    }
    event.preventDefault();
  }

  show() {
    for (const side of ["query", "key"])
      this.tokens[side].forEach((group, index) => {
        const pinned = this.pinned?.side === side && this.pinned.index === index;
        group.setAttribute("aria-pressed", pinned);
        group.classList.toggle("active", this.active?.side === side && this.active.index === index);
      });
    this.mark();
    this.status.textContent = this.active ? this.describe(this.active) : this.data.words.hint;
  }

  // The pictures side by side as one file, with the colours of the present theme.
  download() {
    const panels = [...this.panels.querySelectorAll("svg")];
    const boxes = panels.map((svg) => svg.viewBox.baseVal);
    const width = boxes.reduce((sum, box) => sum + box.width + 24, 0);
    const height = Math.max(...boxes.map((box) => box.height)) + 40;
    const file = element("svg", { xmlns: SVG, viewBox: `0 0 ${width} ${height}`, width, height });
    const style = getComputedStyle(this.root);
    element("rect", { width, height, fill: getComputedStyle(this.foot).outlineColor }, file);
    text(file, this.data.title, { x: 12, y: 24, "font-size": 14, "font-family": "sans-serif", fill: style.color });
    let x = 12;
    panels.forEach((svg, place) => {
      const copy = svg.cloneNode(true);
      plainStyles(svg, copy);
      const { width: wide, height: high } = boxes[place];
      for (const [name, value] of Object.entries({ x, y: 36, width: wide, height: high })) copy.setAttribute(name, value);
      file.append(copy);
      x += wide + 24;
    });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(file)], { type: "image/svg+xml" }));
    link.download = `${this.data.file}.svg`;
    link.click();
    URL.revokeObjectURL(link.href);
  }
}

function plainStyles(from, to) {
  const computed = getComputedStyle(from);
  for (const name of ["fill", "stroke", "stroke-width", "opacity", "fill-opacity", "font-size", "text-anchor"])
    to.setAttribute(name, computed.getPropertyValue(name));
  to.setAttribute("font-family", "sans-serif");
  [...from.children].forEach((child, place) => plainStyles(child, to.children[place]));
}

// Text: a matrix, and lines -------------------------------------------------------------------------------------------

class Sentence extends View {
  draw() {
    const { queries, keys, weights } = this.data;
    this.most = Math.max(1, ...weights.flat());
    const count = Math.max(queries.length, keys.length);
    this.cell = count > 40 ? 11 : count > 24 ? 15 : count > 12 ? 20 : 28;
    this.row = count > 24 ? 19 : 24;
    this.matrix();
    this.lines();
  }

  matrix() {
    const { queries, keys, weights, words } = this.data;
    const { cell } = this;
    const size = Math.min(12, Math.max(9, cell - 2));
    const room = (tokens) => 12 + Math.max(...tokens.map((one) => short(one).length)) * size * 0.6;
    const [left, top] = [room(queries) + 14, room(keys) + 14];
    const width = left + keys.length * cell + 12;
    const height = top + queries.length * cell + 34;
    const svg = this.panel(width, height, words.matrix, "img");
    svg.classList.add("matrix");
    text(svg, words.from, { x: 0, y: top - 4, class: "axis" });
    text(svg, words.to, { x: left, y: 10, class: "axis" });
    const at = (n) => (n + 0.5) * cell;
    queries.forEach((one, i) =>
      text(svg, short(one), { x: left - 5, y: top + at(i) + size * 0.35, class: "name end", "font-size": size }));
    keys.forEach((one, j) => {
      const turn = `translate(${left + at(j) + size * 0.35} ${top - 5}) rotate(-90)`;
      text(svg, short(one), { transform: turn, class: "name", "font-size": size });
    });
    const cells = element("g", {}, svg);
    weights.forEach((row, i) => row.forEach((weight, j) => {
      if (this.data.hidden?.[i][j]) return;
      const level = Math.round((weight / this.most) * (LEVELS - 1));
      const box = { x: left + j * cell, y: top + i * cell, width: cell - 1, height: cell - 1 };
      element("rect", { ...box, "data-level": level }, cells).place = [i, j];
    }));
    this.frame = element("rect", { class: "frame" }, svg);
    this.place = { left, top, keys: keys.length, queries: queries.length };
    this.legend(svg, left, height - 22);
    cells.addEventListener("pointerover", (event) => this.point(event.target.place));
    cells.addEventListener("pointerleave", () => this.hover(null));
    cells.addEventListener("click", (event) => event.target.place && this.pin({ side: "query", index: event.target.place[0] }));
  }

  legend(svg, x, y) {
    for (let level = 0; level < LEVELS; level++)
      element("rect", { x: x + 22 + level * 3, y, width: 3, height: 8, "data-level": level }, svg);
    text(svg, "0%", { x, y: y + 8, class: "axis" });
    text(svg, percent(this.most), { x: x + 28 + LEVELS * 3, y: y + 8, class: "axis" });
  }

  point(place) {
    if (!place) return;
    const [i, j] = place;
    const { queries, keys, weights } = this.data;
    this.hover({ side: "query", index: i });
    this.status.textContent = `${queries[i]} → ${keys[j]}: ${percent(weights[i][j])}`;
  }

  lines() {
    const { queries, keys, weights, words } = this.data;
    const { row } = this;
    const [from, to, width] = [128, 250, 420];
    const top = 22;
    const svg = this.panel(width, top + Math.max(queries.length, keys.length) * row + 4, words.lines);
    svg.classList.add("lines");
    text(svg, words.from, { x: from - 8, y: 12, class: "axis end" });
    text(svg, words.to, { x: to + 8, y: 12, class: "axis" });
    const paths = element("g", { class: "paths" }, svg);
    const y = (n) => top + (n + 0.5) * row;
    this.paths = [];
    weights.forEach((each, i) => each.forEach((weight, j) => {
      if (weight === 0) return;
      const [a, b, middle] = [y(i), y(j), (from + to) / 2];
      const path = element("path", { d: `M${from} ${a}C${middle} ${a} ${middle} ${b} ${to} ${b}` }, paths);
      this.paths.push({ path, i, j, weight });
    }));
    this.boxes = { query: [], key: [] };
    this.shares = { query: [], key: [] };
    queries.forEach((one, i) => this.label(svg, "query", i, one, from, y(i)));
    keys.forEach((one, j) => this.label(svg, "key", j, one, to, y(j)));
  }

  label(svg, side, index, token, x, y) {
    const group = element("g", {}, svg);
    const own = side === "query";
    const [start, width] = own ? [x - 122, 118] : [x + 4, 118];
    const box = { x: start, y: y - this.row / 2 + 1, width, height: this.row - 2, rx: 3, class: "box" };
    this.boxes[side][index] = element("rect", box, group);
    const words = { x: own ? x - 10 : x + 10, y: y + 4, class: own ? "name end" : "name", "font-size": 12 };
    text(group, short(token), words);
    const share = { x: own ? start + 2 : start + width + 4, y: y + 4, class: "share" };
    this.shares[side][index] = element("text", share, group);
    this.token(side, index, group);
  }

  destination(key, { side, index }) {
    const other = side === "query" ? "key" : "query";
    const last = this.tokens[side].length - 1;
    switch (key) {
      case "ArrowUp": return { side, index: Math.max(0, index - 1) };
      case "ArrowDown": return { side, index: Math.min(last, index + 1) };
      case "Home": return { side, index: 0 };
      case "End": return { side, index: last };
      case "ArrowLeft":
      case "ArrowRight": return { side: other, index: Math.min(index, this.tokens[other].length - 1) };
      default: return null;
    }
  }

  mark() {
    const { active } = this;
    for (const { path, i, j, weight } of this.paths) {
      const chosen = active && (active.side === "query" ? active.index === i : active.index === j);
      path.style.display = chosen || (!active && weight >= FAINT) ? "" : "none";
      path.style.opacity = Math.max(chosen ? 0.08 : 0, weight / 10000);
    }
    const strengths = active ? new Map(this.seen(active)) : new Map();
    for (const side of ["query", "key"])
      this.boxes[side].forEach((box, index) => {
        const weight = active && active.side !== side ? strengths.get(index) : 0;
        box.style.setProperty("--share", weight / 10000);
        this.shares[side][index].textContent = side === "key" && weight >= FAINT ? percent(weight) : "";
      });
    this.outline(active);
  }

  outline(active) {
    const { left, top, keys, queries } = this.place;
    const box = !active ? { x: 0, y: 0, width: 0, height: 0 }
      : active.side === "query" ? { x: left - 1, y: top + active.index * this.cell - 1, width: keys * this.cell + 1, height: this.cell + 1 }
      : { x: left + active.index * this.cell - 1, y: top - 1, width: this.cell + 1, height: queries * this.cell + 1 };
    for (const [name, value] of Object.entries(box)) this.frame.setAttribute(name, value);
  }
}

// Images: the picture to choose from, and where that looks -----------------------------------------------------------

class Patches extends View {
  first() {
    return { side: "query", index: 0 };
  }

  draw() {
    const { grid, words } = this.data;
    const [rows, columns] = grid;
    this.before = this.data.keys.length - rows * columns;
    this.patch = Math.max(10, Math.min(90, Math.floor(360 / Math.max(rows, columns))));
    this.top = 20 + (this.before ? 32 : 0);
    const size = [Math.max(columns * this.patch, 240) + 2, this.top + rows * this.patch + 26];
    this.shades = [];
    this.tiles = [];
    const picture = this.panel(...size, words.image);
    picture.classList.add("picture");
    text(picture, words.choose, { x: 1, y: 12, class: "axis" });
    this.photo(picture);
    this.cells(picture, (index, box) => {
      const group = element("g", {}, picture);
      const shade = element("rect", { ...box, class: index < this.before ? "box" : "shade" }, group);
      this.shades.push(shade);
      if (index < this.before) text(group, this.data.queries[index], { x: box.x + 8, y: box.y + 16, class: "name", "font-size": 12 });
      this.token("query", index, group);
    });
    const map = this.panel(...size, words.map, "img");
    text(map, words.to, { x: 1, y: 12, class: "axis" });
    this.cells(map, (index, box) => this.tile(map, index, box));
    this.scale(map, this.top + rows * this.patch + 10);
  }

  photo(svg) {
    const [rows, columns] = this.data.grid;
    const box = { x: 1, y: this.top, width: columns * this.patch, height: rows * this.patch };
    const photo = { ...box, href: this.data.image, preserveAspectRatio: "none", class: "photo" };
    element("image", photo, svg);
  }

  // Boxes of the tokens before the patches, above the image, and of the patches.
  cells(svg, make) {
    this.data.keys.forEach((_, index) => make(index, this.box(index)));
  }

  box(index) {
    const columns = this.data.grid[1];
    const place = index - this.before;
    if (place < 0) return this.specialBox(index);
    const [x, y] = [1 + (place % columns) * this.patch, this.top + Math.floor(place / columns) * this.patch];
    return { x, y, width: this.patch, height: this.patch };
  }

  specialBox(index) {
    return { x: 1 + index * 76, y: 20, width: 70, height: 24, rx: 3 };
  }

  tile(map, index, box) {
    const special = index < this.before; // its name stands beside its colour
    const rect = element("rect", { ...box, width: (special ? box.height : box.width) - 1, height: box.height - 1 }, map);
    if (special) text(map, this.data.keys[index], { x: box.x + box.height + 5, y: box.y + 16, class: "name", "font-size": 12 });
    rect.addEventListener("pointerenter", () => {
      const from = this.active?.index ?? 0;
      const { queries, keys, weights, words } = this.data;
      const share = this.outside(index) ? words.outside : percent(weights[from][index]);
      this.status.textContent = `${queries[from]} → ${keys[index]}: ${share}`;
    });
    rect.addEventListener("pointerleave", () => this.show());
    this.tiles.push(rect);
  }

  // Whether a patch is none of those that the chosen one can see.
  outside(index) {
    const { windows } = this.data;
    return Boolean(windows && this.active && windows[index] !== windows[this.active.index]);
  }

  scale(svg, y) {
    for (let level = 0; level < LEVELS; level++)
      element("rect", { x: 24 + level * 3, y, width: 3, height: 8, "data-level": level }, svg);
    text(svg, "0%", { x: 1, y: y + 8, class: "axis" });
    this.end = element("text", { x: 30 + LEVELS * 3, y: y + 8, class: "axis" }, svg);
  }

  destination(key, { side, index }) {
    const columns = this.data.grid[1];
    const last = this.data.queries.length - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    if (key === "Home" || key === "End") return { side, index: key === "Home" ? 0 : last };
    if (!(key in steps)) return null;
    const to = index < this.before && key === "ArrowDown" ? this.before : index + steps[key];
    return { side, index: Math.min(last, Math.max(0, to)) };
  }

  // Nothing chosen: the mean over all that attend.
  mark() {
    const { weights } = this.data;
    const mean = () => weights[0].map((_, j) => weights.reduce((sum, row) => sum + row[j], 0) / weights.length);
    const row = this.active ? weights[this.active.index] : mean();
    const most = Math.max(1, ...row);
    row.forEach((weight, index) => {
      this.shades[index].style.setProperty("--share", weight / most);
      this.tiles[index].dataset.level = Math.round((weight / most) * (LEVELS - 1));
      this.tiles[index].classList.toggle("outside", this.outside(index));
    });
    this.end.textContent = percent(most);
  }
}

// Large images: one patch at a time --------------------------------------------------------------------------------

const WIDE = 420; // pixels of the longer side
const WAIT = 120; // milliseconds after the last step of the arrow keys

class Mosaic extends Patches {
  update(data) {
    this.data = data;
    this.save.textContent = data.words.save;
    if (this.wanted === data.chosen) this.wanted = null;
    this.row = new Map(data.row);
    this.window = data.window && new Set(data.window);
    const content = JSON.stringify([data.grid, data.keyGrid, data.image, data.keys.length]);
    if (content !== this.content) {
      this.content = content;
      this.wanted = null;
      this.panels.replaceChildren();
      this.draw();
    }
    this.show();
  }

  get chosen() {
    return this.wanted ?? this.data.chosen;
  }

  draw() {
    const { grid, keyGrid, queries, keys, words } = this.data;
    const [rows, columns] = grid;
    this.tokens = { query: [], key: [] };
    this.before = queries.length - rows * columns;
    this.patch = WIDE / Math.max(rows, columns);
    this.top = 20 + (keys.length > keyGrid[0] * keyGrid[1] || this.before ? 32 : 0);
    const [width, height] = [columns * this.patch, rows * this.patch];
    const size = [Math.max(width, 240) + 2, this.top + height + 26];
    const picture = this.panel(...size, words.image);
    picture.classList.add("picture", "mosaic");
    text(picture, words.choose, { x: 1, y: 12, class: "axis" });
    this.photo(picture);
    this.shades = element("g", {}, picture);
    this.specials(picture, queries);
    this.cursor = element("g", { role: "slider", tabindex: "0", class: "token", "aria-label": words.mosaic }, picture);
    this.frame = element("rect", { class: "cursor" }, this.cursor);
    this.tokens.query[0] = this.cursor; // for the keyboard
    picture.addEventListener("click", (event) => this.choose(this.patchAt(picture, event, queries, grid)));
    const map = this.panel(...size, words.map, "img");
    text(map, words.to, { x: 1, y: 12, class: "axis" });
    element("rect", { x: 1, y: this.top, width, height, "data-level": 0, class: this.window ? "outside" : "" }, map);
    this.specials(map, keys);
    this.tiles = element("g", {}, map);
    this.frames = [this.frame, element("rect", { class: "cursor" }, map)];
    map.addEventListener("pointermove", (event) => this.point(this.patchAt(map, event, keys, keyGrid)));
    map.addEventListener("pointerleave", () => this.show());
    this.scale(map, this.top + height + 10);
  }

  specials(svg, tokens) {
    const [rows, columns] = tokens === this.data.keys ? this.data.keyGrid : this.data.grid;
    for (let index = 0; index < tokens.length - rows * columns; index++) {
      const box = this.specialBox(index);
      element("rect", { ...box, class: "edge" }, svg);
      text(svg, tokens[index], { x: box.x + 30, y: box.y + 16, class: "name", "font-size": 12 });
    }
  }

  // The patches that are looked at may be coarser than those that look.
  keyBox(index) {
    const [rows, columns] = this.data.keyGrid;
    const place = index - (this.data.keys.length - rows * columns);
    if (place < 0) return this.specialBox(index);
    const patch = WIDE / Math.max(rows, columns);
    return { x: 1 + (place % columns) * patch, y: this.top + Math.floor(place / columns) * patch, width: patch, height: patch };
  }

  patchAt(svg, event, tokens, [rows, columns]) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const before = tokens.length - rows * columns;
    for (let index = 0; index < before; index++) {
      const { x, y, width, height } = this.specialBox(index);
      if (at.x >= x && at.x < x + width && at.y >= y && at.y < y + height) return index;
    }
    const patch = WIDE / Math.max(rows, columns);
    const [row, column] = [Math.floor((at.y - this.top) / patch), Math.floor((at.x - 1) / patch)];
    const inside = row >= 0 && row < rows && column >= 0 && column < columns;
    return inside ? before + row * columns + column : null;
  }

  choose(index) {
    if (index === null || index === this.chosen) return;
    this.wanted = index;
    this.show();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(index), WAIT);
  }

  keydown(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target !== this.cursor) return;
    const to = this.destination(event.key, { side: "query", index: this.chosen });
    if (!to) return;
    event.preventDefault();
    this.choose(to.index);
  }

  point(index) {
    if (index === null || this.wanted !== null) return;
    const { queries, keys, words, chosen } = this.data;
    const share = this.window && !this.window.has(index) ? words.outside : percent(this.row.get(index) ?? 0);
    this.status.textContent = `${queries[chosen]} → ${keys[index]}: ${share}`;
  }

  seen() {
    return [...this.row].sort((a, b) => b[1] - a[1]);
  }

  beyond() {
    return this.data.beyond;
  }

  show() {
    const { words, queries, chosen } = this.data;
    const waits = this.wanted !== null && this.wanted !== undefined;
    const said = waits ? `${queries[this.wanted]} …` : this.describe({ side: "query", index: chosen });
    for (const frame of this.frames)
      for (const [name, value] of Object.entries(this.box(this.chosen))) frame.setAttribute(name, value);
    this.panels.classList.toggle("waits", waits);
    const value = { now: this.chosen + 1, min: 1, max: queries.length, text: said };
    for (const [name, one] of Object.entries(value)) this.cursor.setAttribute(`aria-value${name}`, one);
    this.status.textContent = said;
    if (!waits && this.drawn !== this.data.row) this.mark();
  }

  // Only what can get anything is drawn: a window of a large image, not all of it.
  mark() {
    this.drawn = this.data.row;
    const most = Math.max(1, ...this.row.values());
    const before = this.data.keys.length - this.data.keyGrid[0] * this.data.keyGrid[1];
    this.shades.replaceChildren();
    this.tiles.replaceChildren();
    for (const index of this.window ?? this.row.keys()) {
      const weight = this.row.get(index) ?? 0;
      const level = Math.round((weight / most) * (LEVELS - 1));
      const { rx, ...box } = this.keyBox(index);
      if (index < before) box.width = box.height;
      element("rect", { ...box, "data-level": level }, this.tiles);
      if (!level || index < before) continue;
      element("rect", { ...box, class: "shade" }, this.shades).style.setProperty("--share", weight / most);
    }
    this.end.textContent = percent(most);
  }
}
