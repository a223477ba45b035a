// The inbox: a list with search and pages, and a reader.

import { byId, count, element, get, moment, remake, size, time } from "./api.js";
import { detail } from "./lists.js";

const PAGE = 50;
let pages = [0]; // the `before` of each page, from the newest page to the current one
let next = null;
let chosen = null;
let asked = 0;
let listedLast = "";

export function start() {
  const form = byId("search");
  let typing;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      pages = [0];
      refresh();
    }, 200);
  });
  byId("messages").addEventListener("keydown", (event) => {
    const item = event.target.closest("li");
    const beside = { ArrowDown: item?.nextElementSibling, ArrowUp: item?.previousElementSibling }[event.key];
    if (!beside) return;
    event.preventDefault();
    beside.querySelector("button").focus();
  });
  byId("older").addEventListener("click", () => {
    if (next) pages.push(next);
    refresh();
  });
  byId("newer").addEventListener("click", () => {
    if (pages.length > 1) pages.pop();
    refresh();
  });
}

export async function refresh() {
  const form = byId("search");
  const query = new URLSearchParams({ search: form.search.value, before: pages.at(-1), limit: PAGE });
  if (form.bodies.checked) query.set("bodies", "1");
  const turn = ++asked;
  const found = await get(`/_sim/inbox?${query}`);
  if (turn !== asked) return; // the answer to an older request came late
  next = found.next;
  byId("older").disabled = next === null;
  byId("newer").disabled = pages.length === 1;
  byId("page").textContent = found.messages.length ? `page ${pages.length} · ${count(found.kept)} kept${found.dropped ? `, ${count(found.dropped)} older dropped` : ""}` : found.kept ? "nothing found" : "no mail yet";
  byId("reader").querySelector("#first")?.toggleAttribute("hidden", found.kept > 0);
  byId("reader").querySelector("#choose")?.toggleAttribute("hidden", found.kept === 0);
  const now = byId("region").value + JSON.stringify(found.messages);
  if (now === listedLast) return;
  listedLast = now;
  remake(byId("messages"), found.messages.map(listed), (button) => button.closest("li").dataset.id);
}

function listed(message) {
  const open = () => show(message.ses_id);
  const tags = [message.region === byId("region").value ? "" : message.region, message.attachments ? `${message.attachments} ${message.attachments === 1 ? "file" : "files"}` : ""];
  const to = message.to.length > 1 ? `${message.to[0]} and ${message.to.length - 1} more` : message.to[0];
  return element(
    "li",
    { class: message.ses_id === chosen ? "chosen" : "", "data-id": message.ses_id },
    element(
      "button",
      { onclick: open },
      element("div", { class: "row" }, element("b", {}, to ?? ""), element("time", {}, time(message.at))),
      element("div", { class: "row" }, element("span", {}, message.subject || "(no subject)"), element("span", { class: "tags" }, ...tags.filter(Boolean).map((each) => element("span", { class: "tag" }, each)))),
    ),
  );
}

export async function show(sesId) {
  chosen = sesId;
  for (const item of byId("messages").children) item.classList.toggle("chosen", item.dataset.id === sesId);
  const reader = byId("reader");
  try {
    const [message, events] = await Promise.all([get(`/_sim/messages/${encodeURIComponent(sesId)}`), get(`/_sim/events?ses_id=${encodeURIComponent(sesId)}`)]);
    reader.replaceChildren(...read(message, events.events));
  } catch (error) {
    reader.replaceChildren(element("p", { class: "empty" }, error.message));
  }
}

function read(message, events) {
  const facts = [
    ["From", message.from],
    ["To", message.to.join(", ")],
    ["Accepted", `${moment(message.at)} · over ${message.transport === "smtp" ? "SMTP" : "the API"} · ${message.region} · ${size(message.size)}`],
    ["Id", message.ses_id],
  ];
  const tags = Object.entries(message.tags).map(([name, value]) => `${name}=${value}`);
  if (message.configuration_set) facts.push(["Configuration set", message.configuration_set]);
  if (tags.length) facts.push(["Tags", tags.join(", ")]);
  if (message.rendering_failure) facts.push(["Sent to nobody", `the template cannot be rendered: ${message.rendering_failure.text}`]);
  if (events.length) facts.push(["Events", happened(events)]);

  const place = element("div", { class: "view" });
  const views = {};
  if (message.html !== null) views.HTML = () => frame(message.ses_id);
  if (message.text !== null) views.Text = () => element("pre", { class: "view" }, message.text);
  views.Headers = () => element("pre", { class: "view" }, message.headers.map(([name, value]) => `${name}: ${value}`).join("\n") || "none of its own");
  views.Raw = () => raw(message);
  if (message.attachments.length) views[`Attachments (${message.attachments.length})`] = () => attached(message);

  let shown = place;
  const buttons = Object.entries(views).map(([name, make]) =>
    element("button", {
      type: "button",
      "data-view": name.split(" ")[0],
      "aria-pressed": "false",
      onclick: (event) => {
        const made = make();
        shown.replaceWith(made);
        shown = made;
        for (const button of buttons) button.setAttribute("aria-pressed", button === event.currentTarget);
      },
    }, name),
  );
  queueMicrotask(() => buttons[0].click());
  return [
    element("h2", {}, message.subject || "(no subject)"),
    element("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])),
    element("div", { class: "views" }, ...buttons),
    place,
  ];
}

// "Send, Delivery ×6, Bounce (Permanent, General: ...)"
function happened(events) {
  const times = new Map();
  for (const { event } of events) {
    const told = event.eventType === "Delivery" || !detail(event) ? event.eventType : `${event.eventType} (${detail(event)})`;
    times.set(told, (times.get(told) ?? 0) + 1);
  }
  return [...times].map(([told, often]) => (often > 1 ? `${told} ×${often}` : told)).join(", ");
}

// An empty sandbox: no scripts, no forms, no popups, and a separate origin. The answer's policy repeats this.
function frame(sesId) {
  const shown = element("iframe", { class: "view", sandbox: "", referrerpolicy: "no-referrer", title: "The message's HTML", src: `/_sim/messages/${encodeURIComponent(sesId)}/html` });
  return element("div", { class: "framed" }, shown, element("small", {}, "Scripts, forms, links and pictures from elsewhere are off."));
}

function raw(message) {
  const bytes = Uint8Array.from(atob(message.raw), (character) => character.charCodeAt(0));
  const text = new TextDecoder().decode(bytes.subarray(0, 262144));
  const more = bytes.length > 262144 ? `\n… ${size(bytes.length)} in all` : "";
  let readable = text;
  if (message.form === "v2" && !more) {
    try { readable = JSON.stringify(JSON.parse(text), null, 2); } catch { /* shown as it is */ }
  }
  return element("pre", { class: "view" }, readable + more);
}

function attached(message) {
  const rows = message.attachments.map((each, index) =>
    element(
      "tr",
      {},
      element("td", {}, element("a", { href: `/_sim/messages/${encodeURIComponent(message.ses_id)}/attachments/${index}`, download: "" }, each.filename || "(no name)")),
      element("td", {}, each.content_type),
      element("td", {}, size(each.size)),
    ),
  );
  return element("div", { class: "view" }, element("table", {}, element("tbody", {}, ...rows)));
}
