// Requests to the control API, and the page's few number and date formats.

export async function call(method, path, body) {
  const options = { method };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
  }
  const answer = await fetch(path, options);
  const text = await answer.text();
  const value = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Error(value?.error ?? `${answer.status}`);
  return value;
}

export const get = (path) => call("GET", path);

export const byId = (id) => document.getElementById(id);

// Sets text only as text, so that nothing in a mail becomes markup of this page.
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Rebuilds the children and restores the keyboard focus, which a rebuild loses; `key` identifies the focused element.
export function remake(parent, children, key) {
  const at = parent.contains(document.activeElement) ? key(document.activeElement) : undefined;
  parent.replaceChildren(...children);
  if (at !== undefined) [...parent.querySelectorAll("button")].find((each) => key(each) === at)?.focus({ preventScroll: true });
}

export const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 2 });
export const count = (number) => Math.round(number).toLocaleString("en");
export const time = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");
export const moment = (at) => new Date(at * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
export const size = (bytes) => (bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1048576).toFixed(1)} MB`);
