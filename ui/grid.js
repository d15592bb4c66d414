// The grid editor in the browser. Python sends the values and what is removed; this file sends edits back.
// Streamlit calls the default export again after every rerun: the buttons stay, only what differs is written.

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".grid");
  const grid = (root.headGrid ??= new HeadGrid(root));
  grid.send = (edit) => setTriggerValue("edit", edit);
  grid.update(data);
  return () => grid.detach();
}

class HeadGrid {
  constructor(root) {
    this.root = root;
    this.cells = []; // [site][head] of {button, removed, level, text}
    this.pending = []; // edits that Python has not confirmed: {id, changes}
    this.stroke = new Map(); // "site,head" → removed, while Shift + arrows are held
    this.drag = null;
    this.lastId = 0;
    this.skeleton();
    this.release = this.release.bind(this);
  }

  // Drawing ---------------------------------------------------------------------------------------------------------

  skeleton() {
    this.scroller = element("div", "scroller", this.root);
    this.table = element("div", "table", this.scroller);
    this.table.setAttribute("role", "group");
    this.status = element("div", "status", this.root);
    this.status.setAttribute("aria-hidden", "true"); // the buttons' own labels say the same
    const on = (name, handler) => this.table.addEventListener(name, handler.bind(this));
    on("click", this.click);
    on("keydown", this.keydown);
    on("keyup", (event) => event.key === "Shift" && this.commitStroke());
    on("focusin", this.focusin);
    on("focusout", (event) => !this.table.contains(event.relatedTarget) && this.commitStroke());
    on("pointerdown", this.press);
    on("pointerover", this.hover);
    on("pointerleave", () => this.tell());
  }

  update(data) {
    this.data = data;
    this.lastId = Math.max(this.lastId, data.seen);
    this.pending = this.pending.filter((edit) => edit.id > data.seen);
    const shape = data.levels.map((row) => row.length).join();
    if (shape !== this.shape) this.build(shape);
    this.root.dataset.signed = data.signed ? 1 : 0;
    this.table.setAttribute("aria-label", data.label);
    const removed = new Set(data.removed.map(([site, head]) => `${site},${head}`));
    const overlay = new Map([...this.unconfirmed(), ...this.stroke]);
    this.each((cell, site, head) => {
      const place = `${site},${head}`;
      this.paint(cell, site, head, overlay.get(place) ?? removed.has(place));
    });
    this.names.forEach((_, site) => this.paintName(site));
    this.tell(...(this.shown ?? []));
  }

  build(shape) {
    this.shape = shape;
    const { levels } = this.data;
    const columns = Math.max(0, ...levels.map((row) => row.length));
    this.table.replaceChildren();
    this.table.style.setProperty("--columns", columns);
    this.root.toggleAttribute("data-dense", columns > 32 || levels.length > 32);
    this.header(columns);
    this.names = [];
    this.cells = levels.map((row, site) => {
      const line = element("div", "line", this.table);
      this.names.push(this.button("name", line, site, -1));
      const cells = row.map((_, head) => ({ button: this.button("cell", line, site, head) }));
      for (let head = row.length; head < columns; head++) element("span", "gap", line);
      return cells;
    });
    this.pending = [];
    this.stroke.clear();
    this.current = this.shown = this.drag = null;
    this.setCurrent(this.cells[0]?.[0]?.button);
  }

  header(columns) {
    const corner = element("span", "corner", this.table);
    corner.textContent = this.data.words.head;
    corner.setAttribute("aria-hidden", "true");
    const step = columns > 32 ? 4 : 1;
    for (let head = 0; head < columns; head++) {
      const label = element("span", "column", this.table);
      label.setAttribute("aria-hidden", "true");
      if (head % step === 0) label.textContent = head;
    }
  }

  button(kind, parent, site, head) {
    const button = element("button", kind, parent);
    button.type = "button";
    button.tabIndex = -1;
    button.place = [site, head];
    return button;
  }

  // Writes only what differs: 3,072 cells are compared in a few milliseconds, rewritten in a hundred.
  paint(cell, site, head, removed) {
    const level = this.data.levels[site][head];
    const text = this.describe(site, head, removed, ", ");
    if (cell.level !== level) cell.button.dataset.level = cell.level = level;
    if (cell.text !== text) cell.button.setAttribute("aria-label", (cell.text = text));
    if (cell.removed !== removed) cell.button.setAttribute("aria-pressed", (cell.removed = removed));
  }

  paintName(site) {
    const button = this.names[site];
    const name = this.data.names[site];
    const pressed = this.cells[site].length > 0 && this.cells[site].every((cell) => cell.removed);
    if (button.textContent !== name) {
      button.textContent = button.title = name;
      // The visible name comes first, so that people who speak to their computer can say what they read.
      button.setAttribute("aria-label", `${name}, ${this.data.words.row_button}`);
    }
    button.setAttribute("aria-pressed", pressed);
  }

  describe(site, head, removed, separator) {
    const { names, texts, words } = this.data;
    const value = texts[site][head] || words.not_measured;
    const parts = [`${names[site]}, ${words.head} ${head}`, `${words.value} ${value}`];
    return (removed ? [...parts, words.removed] : parts).join(separator);
  }

  each(visit) {
    this.cells.forEach((row, site) => row.forEach((cell, head) => visit(cell, site, head)));
  }

  unconfirmed() {
    return new Map(this.pending.flatMap((edit) => edit.changes.map(([s, h, removed]) => [`${s},${h}`, removed])));
  }

  // Edits -----------------------------------------------------------------------------------------------------------

  show(changes) {
    const touched = new Set();
    for (const [site, head, removed] of changes) {
      this.paint(this.cells[site][head], site, head, removed);
      touched.add(site);
    }
    touched.forEach((site) => this.paintName(site));
    if (this.shown) this.tell(...this.shown);
  }

  // The line below the grid: the cell under the pointer or with the focus, else how to use the grid.
  tell(site = 0, head = -1) {
    this.shown = head < 0 ? null : [site, head];
    this.status.textContent = this.shown
      ? this.describe(site, head, this.cells[site][head].removed, " · ")
      : this.data.words.hint;
  }

  commit(changes) {
    if (!changes.length) return;
    this.show(changes);
    this.lastId = Math.max(this.lastId + 1, Date.now());
    this.pending.push({ id: this.lastId, changes });
    const merged = [...this.unconfirmed()].map(([place, removed]) => [...place.split(",").map(Number), removed]);
    this.send({ id: this.lastId, changes: merged });
  }

  toggle(site, head) {
    if (head >= 0) return this.commit([[site, head, !this.cells[site][head].removed]]);
    const removed = !this.cells[site].every((cell) => cell.removed);
    this.commit(this.cells[site].flatMap((cell, h) => (cell.removed === removed ? [] : [[site, h, removed]])));
  }

  click(event) {
    const button = event.target.closest("button");
    if (this.dragged) this.dragged = false; // the click that ends a drag is not a click
    else if (button) this.toggle(...button.place);
  }

  // Drag: a block takes on the state that its first cell changes to. A finger scrolls instead.

  press(event) {
    const [site, head] = event.target.closest("button")?.place ?? [0, -1];
    this.dragged = false;
    if (head < 0 || event.button !== 0 || event.pointerType === "touch") return;
    this.drag = { from: [site, head], to: [site, head], removed: !this.cells[site][head].removed, block: [] };
    for (const name of ["pointerup", "pointercancel", "keydown", "blur"]) window.addEventListener(name, this.release);
  }

  hover(event) {
    const [site, head] = event.target.closest("button")?.place ?? [0, -1];
    if (head < 0) return;
    this.tell(site, head);
    if (!this.drag) return;
    this.dragged = true;
    this.preview([site, head]);
  }

  preview(to) {
    const { from, removed } = this.drag;
    this.restore();
    const [top, bottom] = [from[0], to[0]].sort((a, b) => a - b);
    const [left, right] = [from[1], to[1]].sort((a, b) => a - b);
    for (let site = top; site <= bottom; site++)
      for (let head = left; head <= Math.min(right, this.cells[site].length - 1); head++)
        if (this.cells[site][head].removed !== removed) this.drag.block.push([site, head, removed]);
    this.show(this.drag.block);
  }

  restore() {
    this.show(this.drag.block.map(([site, head, removed]) => [site, head, !removed]));
    this.drag.block = [];
  }

  release(event) {
    if (event.type === "keydown" && event.key !== "Escape") return;
    for (const name of ["pointerup", "pointercancel", "keydown", "blur"]) window.removeEventListener(name, this.release);
    if (!this.drag) return;
    if (event.type !== "pointerup") this.restore();
    const { block } = this.drag;
    this.drag = null;
    if (this.dragged) this.commit(block);
  }

  // Keyboard: one stop for Tab; arrows, Home and End move; Shift carries the state of the cell along.

  setCurrent(button) {
    if (!button) return;
    if (this.current) this.current.tabIndex = -1;
    this.current = button;
    button.tabIndex = 0;
  }

  focusin(event) {
    const button = event.target.closest("button");
    this.setCurrent(button);
    this.tell(...button.place);
  }

  keydown(event) {
    const button = event.target.closest("button");
    const to = button && this.destination(event, ...button.place);
    if (!to || event.altKey || event.metaKey) return;
    event.preventDefault();
    const [site, head] = button.place;
    const next = to[1] < 0 ? this.names[to[0]] : this.cells[to[0]][to[1]].button;
    if (event.shiftKey && event.key.startsWith("Arrow") && head >= 0 && to[1] >= 0)
      this.carry([site, head], to, this.cells[site][head].removed);
    next.focus();
  }

  destination(event, site, head) {
    const last = this.cells.length - 1;
    const within = (row, column) => [row, Math.min(column, this.cells[row].length - 1)];
    switch (event.key) {
      case "ArrowLeft": return [site, Math.max(-1, head - 1)];
      case "ArrowRight": return within(site, head + 1);
      case "ArrowUp": return within(Math.max(0, site - 1), head);
      case "ArrowDown": return within(Math.min(last, site + 1), head);
      case "Home": return event.ctrlKey ? within(0, 0) : within(site, 0);
      case "End": return event.ctrlKey ? within(last, Infinity) : within(site, Infinity);
      default: return null;
    }
  }

  carry(from, [site, head], removed) {
    if (this.cells[site][head].removed === removed) return;
    this.stroke.set(`${site},${head}`, removed);
    this.show([[site, head, removed]]);
  }

  commitStroke() {
    const changes = [...this.stroke].map(([place, removed]) => [...place.split(",").map(Number), removed]);
    this.stroke.clear();
    this.commit(changes);
  }

  detach() {
    for (const name of ["pointerup", "pointercancel", "keydown", "blur"]) window.removeEventListener(name, this.release);
  }
}

function element(tag, name, parent) {
  const made = document.createElement(tag);
  made.className = name;
  parent.append(made);
  return made;
}
