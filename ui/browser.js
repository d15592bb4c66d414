// Keeps a random id for this browser, and tells the server where it does not know it yet; says the
// page's language, and Streamlit's own words in it; mends Streamlit's upload areas; tells when the theme is switched.
export default function ({ data, setStateValue, setTriggerValue }) {
  mendUploads();
  watchTheme(data.theme, (theme) => setTriggerValue("theme", theme));
  document.documentElement.lang = data.language;
  speak(data.words);
  const name = data.name;
  const fits = (text) => /^[0-9a-f]{32}$/.test(text ?? "");
  const found = fromCookie(name);
  const stored = attempt(() => localStorage.getItem(name));
  const kept = [found, stored].find(fits);
  const value = kept ?? fresh();
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${name}=${value}; path=/; max-age=${400 * 24 * 3600}; SameSite=Strict${secure}`;
  attempt(() => localStorage.setItem(name, value));
  if (value !== data.known) setStateValue("id", { value, returned: kept !== undefined });
}

function fromCookie(name) {
  const part = document.cookie.split("; ").find((one) => one.startsWith(`${name}=`));
  return part?.slice(name.length + 1);
}

// Streamlit marks an upload area as mere presentation, although it has a name and takes the focus.
function mendUploads() {
  if (window.headroomMends) return;
  const mend = () => {
    const areas = document.querySelectorAll("[data-testid=stFileUploaderDropzone][role=presentation]");
    for (const area of areas) area.setAttribute("role", "group");
  };
  window.headroomMends = new MutationObserver(mend);
  window.headroomMends.observe(document.body, { childList: true, subtree: true });
  mend();
}

// Streamlit draws itself anew in another theme without asking the server, which made the figures. Told once a switch.
function watchTheme(drawn, tell) {
  const app = document.querySelector(".stApp");
  const last = (window.headroomTheme ??= {});
  Object.assign(last, { drawn, tell });
  if (last.watch || !app) return;
  const look = () => {
    const shown = getComputedStyle(app).colorScheme;
    if (shown === last.shown) return;
    last.shown = shown;
    if (shown !== last.drawn) last.tell(shown);
  };
  last.watch = new MutationObserver(() => requestAnimationFrame(look));
  last.watch.observe(app, { attributes: true, attributeFilter: ["class"] });
  look();
}

// Says Streamlit's own words in the reader's language, or in a reader's words. `words`: by CSS selector, English to
// ours; what was said in another language before is taken back.
function speak(words) {
  const wanted = JSON.stringify(words);
  const last = (window.headroomSpeech ??= { words: "{}", said: new WeakMap(), places: [] });
  if (last.words === wanted) return;
  last.watch?.disconnect();
  eachText(last.places, (node) => {
    const { theirs, ours } = last.said.get(node) ?? {};
    if (ours === node.nodeValue) node.nodeValue = theirs;
  });
  last.words = wanted;
  last.places = Object.entries(words).map(([place, texts]) => [place, translator(texts)]);
  if (!last.places.length) return;
  const say = () =>
    eachText(last.places, (node, translated) => {
      const theirs = node.nodeValue;
      if (last.said.get(node)?.ours === theirs) return;
      const ours = translated(theirs);
      if (ours === undefined) return;
      last.said.set(node, { theirs, ours });
      node.nodeValue = ours;
    });
  last.watch = new MutationObserver(say);
  const what = { childList: true, subtree: true, characterData: true };
  last.watch.observe(document.body, { ...what, attributes: true, attributeFilter: NAMES });
  say();
}

const NAMES = ["aria-label", "placeholder", "title"];
const NAMED = NAMES.map((name) => `[${name}]`).join(",");

// Every text node and every attribute that is read out or shown, in these places.
function eachText(places, act) {
  for (const [place, translated] of places)
    for (const root of document.querySelectorAll(place)) {
      const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) act(walker.currentNode, translated);
      for (const one of [root, ...root.querySelectorAll(NAMED)])
        for (const name of NAMES) if (one.hasAttribute(name)) act(one.getAttributeNode(name), translated);
    }
}

// A function from Streamlit's text to ours; a name in braces stands for anything.
function translator(texts) {
  const patterns = Object.keys(texts)
    .filter((text) => text.includes("{"))
    .map((text) => [new RegExp(`^${escaped(text).replace(/\\\{\w+\\\}/, "(.+)")}$`, "s"), texts[text]]);
  return (text) => {
    if (Object.hasOwn(texts, text)) return texts[text];
    for (const [pattern, ours] of patterns) {
      const found = pattern.exec(text);
      if (found) return ours.replace(/\{\w+\}/, () => found[1]);
    }
    return undefined;
  };
}

function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function fresh() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function attempt(work) {
  try {
    return work();
  } catch {
    return undefined; // storage is refused here
  }
}
