// Steps of the presentation in the browser: buttons, keys and clickers, and full screen.
// Streamlit calls the default export again after every rerun: the buttons stay, only what differs is written.

const TYPING = "input:not([type=range]), textarea, select, [contenteditable=true], [role=combobox], [role=textbox]";
const MOVING = "[role=slider], [role=radio], [role=option], [role=listbox], [role=tab], [role=menuitem], [role=grid]";
const PRESSED = "button, a, summary, input, [role=button]"; // what the space bar means something to
const ROOM = "headroom-room"; // on the page: its rules hide what is around the presentation
const REMIND_MS = 1500, REMINDERS = 2; // a rerun that is under way may swallow a step: it is sent again
const PATIENCE_MS = 6000; // then a step that was never answered is forgotten

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".room");
  const room = (root.headroomRoom ??= new Room(root));
  room.send = (step) => setTriggerValue("step", step);
  room.update(data);
  room.attach();
  return () => room.detach();
}

class Room {
  constructor(root) {
    this.root = root;
    this.wanted = null; // {step, since}: sent, and not shown yet
    this.previous = this.button("previous", () => this.go(this.step - 1));
    this.where = this.part("div", "where");
    this.dots = this.part("span", "dots", this.where);
    this.dots.setAttribute("aria-hidden", "true");
    this.status = this.part("span", "status", this.where);
    this.status.setAttribute("role", "status");
    this.next = this.button("next", () => this.go(this.step + 1));
    this.full = this.button("full", (event) => this.toggle(event));
    this.curtain = null; // the black screen, while it is drawn
    this.keydown = this.keydown.bind(this);
    this.changed = this.changed.bind(this);
    this.released = this.released.bind(this);
  }

  part(tag, name, parent = this.root) {
    const made = document.createElement(tag);
    made.className = name;
    parent.append(made);
    return made;
  }

  button(name, act) {
    const made = this.part("button", name);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  }

  attach() {
    if (this.attached) return;
    this.attached = true;
    document.addEventListener("keydown", this.keydown);
    document.addEventListener("fullscreenchange", this.changed);
    document.addEventListener("pointerup", this.released);
  }

  detach() {
    this.attached = false;
    document.removeEventListener("keydown", this.keydown);
    document.removeEventListener("fullscreenchange", this.changed);
    document.removeEventListener("pointerup", this.released);
    setTimeout(() => this.attached || this.root.isConnected || this.leave()); // another page has come
  }

  get count() {
    return this.data.names.length;
  }

  get step() {
    return this.wanted?.step ?? this.data.step;
  }

  update(data) {
    this.data = data;
    if (this.wanted && (this.wanted.step === data.step || Date.now() - this.wanted.since > PATIENCE_MS)) this.wanted = null;
    this.show();
  }

  show() {
    const { words, names } = this.data;
    const { step, count } = this;
    this.root.setAttribute("aria-label", words.label);
    this.label(this.previous, words.previous, words.help_previous);
    this.label(this.next, words.next, words.help_next);
    const { inside } = this;
    this.label(this.full, inside ? words.leave : words.full, words.help_full);
    this.full.setAttribute("aria-pressed", inside);
    this.previous.disabled = step <= 1;
    this.next.disabled = step >= count;
    this.dots.textContent = "●".repeat(step) + "○".repeat(count - step);
    const text = words.step.replace("{n}", step).replace("{count}", count).replace("{name}", names[step - 1]);
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  label(button, text, help) {
    if (button.textContent !== text) button.textContent = text;
    button.title = help;
  }

  go(step) {
    const target = Math.min(this.count, Math.max(1, step));
    if (target === this.step) return;
    this.wanted = { step: target, since: Date.now() };
    this.show();
    this.send(target);
    this.remind(target, REMINDERS);
  }

  remind(target, times) {
    setTimeout(() => {
      if (!times || !this.attached || this.wanted?.step !== target) return;
      this.send(target);
      this.remind(target, times - 1);
    }, REMIND_MS);
  }

  // Keys: those of a keyboard and of a clicker, unless they mean something where the focus is.
  keydown(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
    const path = event.composedPath().filter((one) => one instanceof Element);
    if (path.some((one) => one.matches(TYPING))) return;
    if (this.curtain) this.lighten();
    else if (!this.meant(event.key, (kind) => path.some((one) => one.matches(kind)))) return;
    event.preventDefault();
  }

  // Do what a key means; whether it means anything.
  meant(key, within) {
    const { step, count, inside } = this;
    const steps = { ArrowRight: step + 1, PageDown: step + 1, ArrowLeft: step - 1, PageUp: step - 1, Home: 1, End: count };
    if (key in steps && !within(MOVING)) this.go(steps[key]);
    else if (Number(key) >= 1 && Number(key) <= count && !within(MOVING)) this.go(Number(key));
    else if (key === "f" || key === "F") this.toggle();
    else if (!inside) return false;
    else if (key === " " && !within(MOVING) && !within(PRESSED)) this.go(step + 1);
    else if (key === "b" || key === "B" || key === ".") this.darken();
    else if (key === "Escape") this.leave();
    else return false;
    return true;
  }

  // A black screen, so that the room looks at the speaker; any key or press brings the page back.
  darken() {
    this.curtain = document.createElement("div");
    this.curtain.setAttribute("role", "status");
    this.curtain.setAttribute("aria-label", this.data.words.black);
    this.curtain.style.cssText = "position: fixed; inset: 0; z-index: 2147483647; background: #000; cursor: none";
    this.curtain.addEventListener("click", () => this.lighten());
    document.body.append(this.curtain);
  }

  lighten() {
    this.curtain?.remove();
    this.curtain = null;
  }

  // A slider that was dragged lets go of the keys, so that the arrows step again.
  released() {
    setTimeout(() => {
      const slider = document.activeElement?.closest("[role=slider], input[type=range]");
      if (slider && !slider.matches(":focus-visible")) slider.blur();
    });
  }

  get inside() {
    return document.documentElement.classList.contains(ROOM);
  }

  // After a press of the mouse the space bar is for the next step, not for the button again.
  toggle(event) {
    if (event?.detail) this.full.blur();
    if (this.inside) this.leave();
    else this.enter();
  }

  // Where a browser refuses full screen, the page is cleared all the same.
  enter() {
    document.documentElement.classList.add(ROOM);
    document.documentElement.requestFullscreen?.().catch(() => {});
    window.dispatchEvent(new Event("resize"));
    this.show();
  }

  leave() {
    this.lighten();
    document.documentElement.classList.remove(ROOM);
    if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
    window.dispatchEvent(new Event("resize"));
    this.show();
  }

  changed() {
    if (!document.fullscreenElement) this.leave();
  }
}
