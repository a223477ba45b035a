// Events, duplicates and hidden resends, each in a table.

import { byId, count, element, get, remake, time } from "./api.js";

let openMessage = () => {};
const shown = {}; // by table: the rows at its last fill

export function start(open) {
  openMessage = open;
}

export async function refreshEvents() {
  const head = await get("/_sim/events/newest?limit=100");
  fill("events", head.events, (each) => {
    const event = each.event;
    return [
      time(each.at),
      tag(event.eventType, { Delivery: "ok", Bounce: "bad", Complaint: "bad", Reject: "bad", "Rendering Failure": "bad" }[event.eventType]),
      several(recipients(event)),
      detail(event),
      link(event.mail.messageId),
    ];
  });
}

export async function refreshDuplicates() {
  const found = await get("/_sim/duplicates");
  badge("count-duplicates", found.count);
  byId("count-inbox").textContent = found.kept ? count(found.kept) : "";
  fill("duplicates", found.duplicates, (each) => [
    time(Math.max(...each.at)),
    tag(each.by === "tag" ? "message tag" : "recipient and content"),
    each.of,
    each.subject,
    count(each.ses_ids.length),
    element("span", {}, ...each.ses_ids.slice(0, 5).flatMap((id) => [link(id), " "])),
  ]);
}

export async function refreshResends() {
  const found = await get("/_sim/resends");
  badge("count-resends", found.hidden);
  fill("resends", found.calls, (each) => [
    time(each.attempts.at(-1).at),
    each.operation,
    element("span", { class: "mono" }, each.invocation_id),
    element("span", {}, ...each.attempts.flatMap((attempt) => [tag(answer(attempt), attempt.status === 200 && attempt.ending === "answer" ? "ok" : "bad"), " "])),
    each.taken > 1 ? tag(count(each.taken), "bad") : count(each.taken),
  ]);
}

function answer(attempt) {
  const status = attempt.error_code || String(attempt.status);
  return attempt.ending === "answer" ? (attempt.taken && attempt.status !== 200 ? `accepted, then ${status}` : status) : `${attempt.taken ? "accepted" : "not accepted"}, then ${attempt.ending.replaceAll("_", " ")}`;
}

function recipients(event) {
  const named = event.bounce?.bouncedRecipients ?? event.complaint?.complainedRecipients ?? event.deliveryDelay?.delayedRecipients;
  if (named) return named.map((each) => each.emailAddress);
  return event.delivery?.recipients ?? event.mail.destination;
}

export const several = (names) => (names.length > 3 ? `${names.slice(0, 2).join(", ")} and ${names.length - 2} more` : names.join(", "));

export function detail(event) {
  if (event.bounce) return `${event.bounce.bounceType}, ${event.bounce.bounceSubType}: ${event.bounce.bouncedRecipients[0]?.diagnosticCode ?? ""}`;
  if (event.complaint) return event.complaint.complaintSubType ?? event.complaint.complaintFeedbackType ?? "";
  if (event.delivery) return `${event.delivery.smtpResponse}, after ${event.delivery.processingTimeMillis} ms`;
  if (event.deliveryDelay) return event.deliveryDelay.delayType;
  return event.reject?.reason ?? event.failure?.errorMessage ?? "";
}

function fill(id, rows, cells) {
  const section = byId(id);
  const now = JSON.stringify(rows);
  if (shown[id] === now) return;
  shown[id] = now;
  const made = rows.map((row) => element("tr", {}, ...cells(row).map((cell) => element("td", {}, cell))));
  remake(section.querySelector("tbody"), made, (button) => button.title);
  section.querySelector("table").hidden = rows.length === 0;
  section.querySelector(".empty").hidden = rows.length > 0;
}

function badge(id, number) {
  const place = byId(id);
  place.textContent = number ? count(number) : "";
  place.classList.toggle("bad", number > 0);
}

const tag = (text, kind = "") => element("span", { class: `tag ${kind}` }, text);
const link = (sesId) => element("button", { class: "link", title: sesId, onclick: () => openMessage(sesId) }, `${sesId.slice(0, 25)}…`);
