// Faults, the account, outcomes, and the reset.

import { byId, call, element, get } from "./api.js";
import { forget, inputs, isChanged, show, values } from "./forms.js";

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

let schema = null;

export async function start(currentRegion, changed) {
  schema = await get("/_sim/schema");
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
  const on = (id, kind, place, action) => byId(id).addEventListener(kind, attempt(place, action));

  byId("presets").replaceChildren(
    ...Object.entries(PRESETS).map(([name, fault]) => element("button", { type: "button", onclick: attempt("fault-error", () => call("POST", "/_sim/faults", fault)) }, name)),
  );
  for (const [name, button] of [["fault", "Add fault"], ["account", "Change"], ["outcomes", "Set outcomes"]]) {
    byId(name).replaceChildren(...inputs(schema[name]), element("button", { class: "main" }, button));
  }
  const form = byId("fault");
  const showFields = () => Object.keys(schema.fault.properties).forEach((name) => (form[name].closest("label").hidden = !has(form.kind.value, name)));
  form.kind.addEventListener("input", showFields);
  showFields();
  on("fault", "submit", "fault-error", () => call("POST", "/_sim/faults", values(form, schema.fault, (input) => !input.closest("label").hidden)));
  on("clear-faults", "click", "fault-error", () => call("DELETE", "/_sim/faults"));

  const change = (name, path) => on(name, "submit", `${name}-error`, async () => {
    await call("PUT", path(), values(byId(name), schema[name], isChanged));
    forget(byId(name));
    await showOutcomes();
  });
  change("account", () => `/_sim/account?region=${encodeURIComponent(currentRegion())}`);
  change("outcomes", () => "/_sim/outcomes");
  on("clear-messages", "click", "account-error", () => call("DELETE", "/_sim/messages"));
  on("clear-stats", "click", "account-error", () => call("DELETE", "/_sim/stats"));
  on("reset", "click", "account-error", async () => {
    await call("POST", "/_sim/reset");
    for (const name of ["account", "outcomes"]) forget(byId(name));
    await showOutcomes();
  });
  on("clock-buttons", "click", "account-error", async (event) => {
    const { freeze, advance } = event.target.dataset;
    if (freeze !== undefined) await call("PUT", "/_sim/clock", { frozen: !(await get("/_sim/clock")).frozen });
    else if (advance) await call("PUT", "/_sim/clock", { advance: Number(advance) });
  });
  await showOutcomes();
}

const has = (kind, name) => schema.fault.properties[name].kinds?.includes(kind) ?? true;

export function showFaults(faults) {
  const place = byId("count-faults");
  place.textContent = faults.length || "";
  place.classList.toggle("bad", faults.length > 0);
  byId("clear-faults").disabled = faults.length === 0;
  // In the form of a flag, without usual values.
  const said = ({ kind, operation = "any", ...fields }) => {
    const usual = (name) => (name === "when" ? (kind === "error" ? "before" : "after") : schema.fault.properties[name].default);
    const told = Object.entries({ ...fields, operation }).filter(([name, value]) => usual(name) !== value && has(kind, name));
    return [kind, ...told.map(([name, value]) => `${name}=${value}`)].join(", ");
  };
  byId("faults").replaceChildren(...(faults.length ? faults.map((fault) => element("li", {}, said(fault))) : [element("li", { class: "quiet" }, "none")]));
}

export const showAccount = (account) => show(byId("account"), schema.account, account);

async function showOutcomes() {
  show(byId("outcomes"), schema.outcomes, await get("/_sim/outcomes"));
}
