// The page's heartbeat: once a second it reads the account, its counts, and the data of the open tab.

import { byId, count, element, get, moment, number } from "./api.js";
import * as chart from "./chart.js";
import * as controls from "./controls.js";
import * as inbox from "./inbox.js";
import * as lists from "./lists.js";

const tabs = { inbox: inbox.refresh, events: lists.refreshEvents, duplicates: lists.refreshDuplicates, resends: lists.refreshResends, controls: async () => {} };
let tab = "inbox";
let known = null; // the counts at the last refresh of the inbox
let home = null; // the simulator's own Region

const region = () => byId("region").value;

async function beat() {
  try {
    const stats = await get(`/_sim/stats?slots=1&since=${Math.max(0, lastNow - 65)}`);
    lastNow = stats.now;
    home ??= (await get("/_sim/account")).region;
    showRegions([...new Set([home, ...Object.keys(stats.regions)])]);
    const marker = `${stats.accepted} ${stats.kept}`;
    const [account, clock, faults] = await Promise.all([get(`/_sim/account?region=${encodeURIComponent(region())}`), get("/_sim/clock"), get("/_sim/faults"), lists.refreshResends(), marker === known ? null : lists.refreshDuplicates()]);
    show(stats, account, clock);
    controls.showFaults(faults.faults);
    controls.showAccount(account);
    if (tab === "events" || (tab === "inbox" && marker !== known)) await tabs[tab]();
    known = marker;
    state(account);
  } catch (error) {
    say("not reachable", "bad");
  }
}

let lastNow = Date.now() / 1000;

function showRegions(wanted) {
  const select = byId("region");
  if ([...select.options].map((option) => option.value).join() === wanted.join()) return;
  const chosen = select.value;
  select.replaceChildren(...wanted.map((name) => element("option", {}, name)));
  if (wanted.includes(chosen)) select.value = chosen;
}

function show(stats, account, clock) {
  byId("accepted").textContent = count(stats.accepted);
  byId("refused").textContent = count(Object.values(stats.refused).reduce((sum, each) => sum + each, 0));
  const reasons = Object.entries(stats.refused).sort(([, one], [, other]) => other - one);
  const told = reasons.map(([kind, times]) => `${kind.replaceAll("-", " ")} (${count(times)})`).join(", ");
  byId("refusals").textContent = told ? `Refused for: ${told}` : "Nothing refused yet.";
  byId("connections").textContent = count(stats.connections.http.open + stats.connections.smtp.open);
  byId("limit").textContent = `${number(account.rate)}/s`;
  chart.draw(byId("chart"), [...(stats.regions[account.region]?.slots ?? []), ...stats.injected.slots], stats.now, account.rate);

  const unlimited = account.quota < 0;
  byId("quota-text").textContent = unlimited ? `${count(account.used)} of any number` : `${count(account.used)} of ${count(account.quota)}`;
  fill("quota-bar", unlimited ? 0 : account.used / Math.max(1, account.quota), !unlimited && account.used >= account.quota);
  byId("quota-note").textContent = unlimited ? "no quota" : account.used >= account.quota ? "used up: sends are refused until the window rolls" : `${count(account.quota - account.used)} left in the rolling window`;
  byId("tokens-text").textContent = `${number(Math.round(account.tokens * 10) / 10)} of ${number(account.capacity)}`;
  fill("tokens-bar", account.tokens / account.capacity, account.tokens < 1);
  byId("tokens-note").textContent = account.tokens < 1 ? `nothing for ${number((1 - account.tokens) / account.rate)} s` : `grows by ${number(account.rate)} a second`;
  byId("clock-text").textContent = moment(clock.now);
  const freeze = document.querySelector("[data-freeze]");
  freeze.textContent = clock.frozen ? "Let run" : "Freeze";
  byId("clock-state").hidden = !clock.frozen;
}

function fill(id, part, bad) {
  const bar = byId(id);
  bar.style.width = `${Math.max(0, Math.min(1, part)) * 100}%`;
  bar.classList.toggle("bad", bad);
}

function state(account) {
  const stopped = !account.sending_enabled ? "sending paused" : account.enforcement === "SHUTDOWN" ? "suspended" : "";
  say(stopped || (account.sandbox ? "sandbox" : "sending"), stopped ? "bad" : "ok");
}

// Writes only on a change: a screen reader would otherwise read it out every second.
function say(text, kind) {
  const place = byId("state");
  if (place.textContent === text) return;
  place.textContent = text;
  place.className = `pill ${kind}`;
}

function open(name) {
  tab = name;
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== name;
  for (const button of document.querySelectorAll("[data-tab]")) {
    button.setAttribute("aria-selected", button.dataset.tab === name);
    button.tabIndex = button.dataset.tab === name ? 0 : -1;
  }
  tabs[name]();
}

document.querySelector(".tabs").addEventListener("click", (event) => {
  const name = event.target.closest("[data-tab]")?.dataset.tab;
  if (name) open(name);
});
// The usual keyboard control of tabs: one tab stop, then the arrow keys.
document.querySelector(".tabs").addEventListener("keydown", (event) => {
  const names = Object.keys(tabs), last = names.length - 1, now = names.indexOf(tab);
  const next = { ArrowRight: now === last ? 0 : now + 1, ArrowLeft: now === 0 ? last : now - 1, Home: 0, End: last }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  open(names[next]);
  byId(`tab-${names[next]}`).focus();
});
byId("endpoint").textContent = `AWS_ENDPOINT_URL_SESV2=${location.origin}`;
inbox.start();
lists.start((sesId) => {
  open("inbox");
  inbox.show(sesId);
  byId("reader").focus();
});
// Beats never overlap, however slow the answers are.
(async () => {
  await controls.start(region, () => {
    known = null;
    return beat();
  });
  for (;;) {
    await beat();
    await new Promise((resume) => setTimeout(resume, document.hidden ? 5000 : 1000));
  }
})();
