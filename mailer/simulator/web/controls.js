// Faults, the account, outcomes, and the reset.

import { byId, call, element, get } from "./api.js";

const KINDS = ["error", "latency", "reset", "close", "close-idle", "silence", "malformed", "slow-answer", "slow-read", "refuse"];
const ERRORS = ["throttle", "daily-quota", "control-rate", "paused", "suspended", "rejected", "not-verified", "mail-from", "configuration-set", "configuration-set-paused", "template", "sending-pool", "limit", "bad-request", "access-denied", "expired-token", "bad-signature", "clock-skew", "internal", "unavailable"];
// Fields that apply only to some kinds.
const ONLY_FOR = {
  error: ["error"],
  latency: ["latency"],
  bytes_per_second: ["slow-answer", "slow-read"],
  when: ["error", "reset", "close", "silence", "malformed", "slow-answer"],
  operation: KINDS.filter((kind) => kind !== "refuse"),
  recipient: KINDS.filter((kind) => kind !== "refuse" && kind !== "slow-read"),
  probability: KINDS.filter((kind) => kind !== "refuse"),
};
const PRESETS = {
  "Throttle storm, 10 s": { kind: "error", error: "throttle", seconds: 10 },
  "One 500": { kind: "error", error: "internal", count: 1 },
  "Every tenth fails, 503": { kind: "error", error: "unavailable", probability: 0.1 },
  "Accept, then drop the answer": { kind: "reset", when: "after", count: 1 },
  "Read timeout after acceptance": { kind: "silence", count: 1 },
  "Slow answers, 200 ms": { kind: "latency", latency: "lognormal:200ms/0.5" },
  "Garbage answer": { kind: "malformed", count: 1 },
  "Nobody listens, 5 s": { kind: "refuse", seconds: 5 },
  "Expired credentials": { kind: "error", error: "expired-token", operation: null },
  "Clock skew": { kind: "error", error: "clock-skew", operation: null },
};
const NUMBERS = new Set(["probability", "count", "seconds", "every", "bytes_per_second"]);

let region = () => "";
let accountShown = "";

export function start(currentRegion, changed) {
  region = currentRegion;
  const attempt = (place, action) => async (event) => {
    event.preventDefault();
    const note = byId(place);
    note.textContent = "";
    try {
      await action(event);
      await changed();
    } catch (error) {
      note.textContent = error.message;
    }
  };

  byId("presets").replaceChildren(
    ...Object.entries(PRESETS).map(([name, fault]) => element("button", { type: "button", onclick: attempt("fault-error", () => call("POST", "/_sim/faults", fault)) }, name)),
  );
  const form = byId("fault");
  form.kind.replaceChildren(...KINDS.map((kind) => element("option", {}, kind)));
  form.error.replaceChildren(...ERRORS.map((error) => element("option", {}, error)));
  form.kind.addEventListener("input", () => showFields(form));
  showFields(form);
  form.addEventListener("submit", attempt("fault-error", () => call("POST", "/_sim/faults", faultIn(form))));
  byId("clear-faults").addEventListener("click", attempt("fault-error", () => call("DELETE", "/_sim/faults")));

  byId("account").addEventListener("submit", attempt("account-error", async () => {
    await call("PUT", `/_sim/account?region=${encodeURIComponent(region())}`, accountIn(byId("account")));
    accountShown = "";
  }));
  byId("outcomes").addEventListener("submit", attempt("outcomes-error", () => call("PUT", "/_sim/outcomes", outcomesIn(byId("outcomes")))));
  byId("clear-messages").addEventListener("click", attempt("account-error", () => call("DELETE", "/_sim/messages")));
  byId("clear-stats").addEventListener("click", attempt("account-error", () => call("DELETE", "/_sim/stats")));
  byId("reset").addEventListener("click", attempt("account-error", async () => {
    await call("POST", "/_sim/reset");
    accountShown = "";
    await fillOutcomes();
  }));
  byId("clock-buttons").addEventListener("click", attempt("account-error", async (event) => {
    const { freeze, advance } = event.target.dataset;
    if (freeze !== undefined) await call("PUT", "/_sim/clock", { frozen: !(await get("/_sim/clock")).frozen });
    else if (advance) await call("PUT", "/_sim/clock", { advance: Number(advance) });
  }));
  fillOutcomes();
}

export function showFaults(faults) {
  const place = byId("count-faults");
  place.textContent = faults.length || "";
  place.classList.toggle("bad", faults.length > 0);
  byId("clear-faults").disabled = faults.length === 0;
  // In the form of a flag, without default values.
  const usual = { probability: 1, operation: "send", bytes_per_second: 1024 };
  const said = ({ kind, operation = "any", ...fields }) => {
    const told = Object.entries({ ...fields, operation }).filter(([name, value]) => usual[name] !== value && (ONLY_FOR[name]?.includes(kind) ?? true) && !(kind === "error" && name === "when" && value === "before"));
    return [kind, ...told.map(([name, value]) => `${name}=${value}`)].join(", ");
  };
  byId("faults").replaceChildren(...(faults.length ? faults.map((fault) => element("li", {}, said(fault))) : [element("li", { class: "quiet" }, "none")]));
}

// Changes nothing while somebody types in the form.
export function showAccount(account) {
  const form = byId("account");
  const shown = JSON.stringify(account);
  if (form.contains(document.activeElement) || shown === accountShown) return;
  accountShown = shown;
  for (const name of ["rate", "bucket", "quota", "used", "enforcement"]) form[name].value = account[name];
  for (const name of ["sending_enabled", "sandbox"]) form[name].checked = account[name];
  form.dataset.used = account.used;
}

function showFields(form) {
  for (const [name, kinds] of Object.entries(ONLY_FOR)) form[name].closest("label").hidden = !kinds.includes(form.kind.value);
}

function faultIn(form) {
  const fault = {};
  for (const [name, value] of new FormData(form)) {
    if (value === "" || !(ONLY_FOR[name]?.includes(form.kind.value) ?? true)) continue;
    fault[name] = NUMBERS.has(name) ? Number(value) : value === "any" && name === "operation" ? null : value;
  }
  return fault;
}

function accountIn(form) {
  const changes = { enforcement: form.enforcement.value, sending_enabled: form.sending_enabled.checked, sandbox: form.sandbox.checked };
  for (const name of ["rate", "bucket", "quota"]) changes[name] = form[name].value === "" ? null : Number(form[name].value);
  if (form.used.value !== form.dataset.used) changes.used = Number(form.used.value);
  return changes;
}

async function fillOutcomes() {
  const outcomes = await get("/_sim/outcomes");
  byId("outcomes").replaceChildren(
    ...Object.entries(outcomes).map(([name, value]) => {
      const input = element("input", { name, value, ...(typeof value === "number" ? { type: "number", min: 0, max: 1, step: "any" } : {}) });
      return element("label", {}, name.replaceAll("_", " "), input);
    }),
    element("button", { class: "main" }, "Set outcomes"),
  );
}

function outcomesIn(form) {
  return Object.fromEntries([...form.elements].filter((each) => each.name).map((each) => [each.name, each.type === "number" ? Number(each.value) : each.value]));
}
