// The page's heartbeat: once a second the account and its counts, and whatever the open tab shows.

import { byId, count, element, get, moment } from "./api.js";
import * as chart from "./chart.js";
import * as controls from "./controls.js";
import * as inbox from "./inbox.js";
import * as lists from "./lists.js";

const tabs = { inbox: inbox.refresh, events: lists.refreshEvents, duplicates: lists.refreshDuplicates, resends: lists.refreshResends, controls: async () => {} };
let tab = "inbox";
let known = null; // what the inbox last showed, as far as the counts tell

const region = () => byId("region").value;

async function beat() {
  try {
    const stats = await get(`/_sim/stats?slots=1&since=${Math.max(0, lastNow - 65)}`);
    lastNow = stats.now;
    showRegions(Object.keys(stats.regions));
    const query = region() ? `?region=${encodeURIComponent(region())}` : "";
    const marker = `${stats.accepted} ${stats.now < (beat.before ?? 0)}`;
    beat.before = stats.now;
    const [account, clock, faults] = await Promise.all([get(`/_sim/account${query}`), get("/_sim/clock"), get("/_sim/faults"), lists.refreshResends(), marker === known ? null : lists.refreshDuplicates()]);
    show(stats, account, clock);
    controls.showFaults(faults.faults);
    controls.showAccount(account);
    if (tab === "events" || (tab === "inbox" && marker !== known)) await tabs[tab]();
    known = marker;
    state(account);
  } catch (error) {
    const place = byId("state");
    place.textContent = "not reachable";
    place.className = "pill bad";
  }
}

let lastNow = Date.now() / 1000;

function showRegions(regions) {
  const select = byId("region");
  const wanted = regions.length ? regions : ["us-east-1"];
  if ([...select.options].map((option) => option.value).join() === wanted.join()) return;
  const chosen = select.value;
  select.replaceChildren(...wanted.map((name) => element("option", {}, name)));
  if (wanted.includes(chosen)) select.value = chosen;
}

function show(stats, account, clock) {
  byId("accepted").textContent = count(stats.accepted);
  byId("refused").textContent = count(Object.values(stats.refused).reduce((sum, each) => sum + each, 0));
  byId("refused").title = Object.entries(stats.refused).map(([kind, number]) => `${kind}: ${number}`).join("\n");
  byId("connections").textContent = count(stats.connections.http.open + stats.connections.smtp.open);
  byId("limit").textContent = `${count(account.rate)}/s`;
  chart.draw(byId("chart"), [...(stats.regions[account.region]?.slots ?? []), ...stats.injected.slots], stats.now, account.rate);

  const unlimited = account.quota < 0;
  byId("quota-text").textContent = unlimited ? `${count(account.used)} of any number` : `${count(account.used)} of ${count(account.quota)}`;
  fill("quota-bar", unlimited ? 0 : account.used / Math.max(1, account.quota), !unlimited && account.used >= account.quota);
  byId("quota-note").textContent = unlimited ? "no quota" : account.used >= account.quota ? "used up: sends are refused until the window rolls" : `${count(account.quota - account.used)} left in the rolling window`;
  byId("tokens-text").textContent = `${account.tokens.toFixed(1)} of ${account.bucket}`;
  fill("tokens-bar", account.tokens / account.bucket, account.tokens < 1);
  byId("tokens-note").textContent = account.tokens < 1 ? `next send in ${((1 - account.tokens) / account.rate).toFixed(2)} s` : `refills at ${account.rate}/s`;
  byId("clock-text").textContent = moment(clock.now);
  const freeze = document.querySelector("[data-freeze]");
  freeze.classList.toggle("on", clock.frozen);
  freeze.textContent = clock.frozen ? "Frozen" : "Freeze";
}

function fill(id, part, bad) {
  const bar = byId(id);
  bar.style.width = `${Math.max(0, Math.min(1, part)) * 100}%`;
  bar.classList.toggle("bad", bad);
}

function state(account) {
  const place = byId("state");
  const stopped = !account.sending_enabled ? "sending paused" : account.enforcement === "SHUTDOWN" ? "suspended" : "";
  place.textContent = stopped || (account.sandbox ? "sandbox" : "sending");
  place.className = `pill ${stopped ? "bad" : "ok"}`;
}

function open(name) {
  tab = name;
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== name;
  for (const button of document.querySelectorAll("[data-tab]")) button.setAttribute("aria-selected", button.dataset.tab === name);
  tabs[name]();
}

document.querySelector(".tabs").addEventListener("click", (event) => {
  const name = event.target.closest("[data-tab]")?.dataset.tab;
  if (name) open(name);
});
inbox.start();
lists.start((sesId) => {
  open("inbox");
  inbox.show(sesId);
});
controls.start(region, beat);
// One beat after another, never two at once, however slow the answers are.
(async () => {
  for (;;) {
    await beat();
    await new Promise((resume) => setTimeout(resume, document.hidden ? 5000 : 1000));
  }
})();
