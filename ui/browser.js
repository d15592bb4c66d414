// Keeps a random id for this browser, and tells the server where it does not know it yet; says the
// page's language; mends Streamlit's upload areas.
export default function ({ data, setStateValue }) {
  mendUploads();
  document.documentElement.lang = data.language;
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
