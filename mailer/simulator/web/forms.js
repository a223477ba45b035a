// Forms made from the control API's schema: an input for each field of a noun, with its bounds, choices and meaning.

import { element } from "./api.js";

const isNullable = (property) => property.anyOf?.some((each) => each.type === "null") ?? false;
const shape = (property) => ({ ...property, ...property.anyOf?.find((each) => each.type !== "null") });
const text = (value) => (Array.isArray(value) ? value.join(", ") : `${value ?? ""}`);

export function inputs(schema) {
  return Object.entries(schema.properties).map(([name, property]) => {
    const label = name.replaceAll("_", " "), input = made(name, property);
    const class_ = input.type === "checkbox" ? { class: "check" } : {};
    return element("label", { title: property.description ?? "", ...class_ }, ...(input.type === "checkbox" ? [input, ` ${label}`] : [label, input]));
  });
}

function made(name, property) {
  const { type, enum: choices, minimum, exclusiveMinimum, maximum, default: usual } = shape(property);
  if (choices) {
    // Null is either the usual, and then the empty choice, or a choice of its own.
    const empty = isNullable(property) && usual === null ? [element("option", { value: "" }, "usual")] : [];
    const any = isNullable(property) && usual !== null ? [element("option", {}, "any")] : [];
    const select = element("select", { name }, ...empty, ...choices.map((each) => element("option", {}, each)), ...any);
    if (usual) select.value = usual;
    return select;
  }
  if (type === "boolean") return element("input", { name, type: "checkbox" });
  if (type !== "number" && type !== "integer") return element("input", { name, placeholder: text(usual) });
  const bounds = Object.entries({ min: minimum ?? exclusiveMinimum, max: maximum }).filter(([, value]) => value !== undefined);
  return element("input", { name, type: "number", step: type === "integer" ? 1 : "any", placeholder: text(usual), ...Object.fromEntries(bounds) });
}

const read = (input) => (input.type === "checkbox" ? `${input.checked}` : input.value);

function valueOf(input, property) {
  const given = read(input), { type } = shape(property);
  if (given === "" || (given === "any" && isNullable(property))) return null;
  if (type === "boolean") return given === "true";
  if (type === "number" || type === "integer") return Number(given);
  return type === "array" ? given.split(",").map((each) => each.trim()).filter(Boolean) : given;
}

// The values of the inputs that `wanted` picks. An empty one is null where the field may be, and else left out.
export function values(form, schema, wanted) {
  const chosen = Object.entries(schema.properties).filter(([name]) => wanted(form[name]));
  const all = chosen.map(([name, property]) => [name, valueOf(form[name], property), property]);
  return Object.fromEntries(all.filter(([, value, property]) => value !== null || isNullable(property)));
}

// Shows values, but leaves alone what somebody has changed and not sent yet.
export function show(form, schema, found) {
  for (const name of Object.keys(schema.properties)) {
    const input = form[name];
    if (isChanged(input)) continue;
    if (input.type === "checkbox") input.checked = found[name];
    else input.value = text(found[name]);
    input.dataset.shown = read(input);
  }
}

export const isChanged = (input) => input.dataset.shown !== undefined && read(input) !== input.dataset.shown;

export function forget(form) {
  for (const input of form.elements) delete input.dataset.shown;
}
