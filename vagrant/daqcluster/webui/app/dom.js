// Elements. Every text that gets into the page goes through `el` or `write`, which show it and never read it as markup.

import { shown } from "./text.js";

/** An element: attributes, listeners (on…), children; a child that is no element is a text. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "href" && !String(value).startsWith("#")) throw new Error("links of ours stay on this page; see `outside`");
    else made.setAttribute(name, name === "title" ? shown(value) : value);
  }
  write(made, ...children);
  return made;
}

/** Put these in the place of what is there. */
export function write(element, ...children) {
  const kept = children.flat(Infinity).filter((one) => one !== undefined && one !== null && one !== "");
  element.replaceChildren(...kept.map((one) => (one instanceof Node ? one : document.createTextNode(shown(one)))));
}

/** Put it in the place of the one element that is there, unless it is the same; the focus stays where it is. */
export function swap(element, made) {
  if (made.isEqualNode(element.firstChild)) return;
  const stops = () => [...element.querySelectorAll("a, [tabindex]")];
  const at = stops().indexOf(document.activeElement);
  element.replaceChildren(made);
  stops()[at]?.focus({ preventScroll: true });
}

/** A link that somebody else has written: only where it leads to a page by http or https, and in a window of its own. */
export function outside(address, text = "") {
  let url;
  try {
    url = new URL(address);
  } catch {
    url = undefined;
  }
  if (!url || !["http:", "https:"].includes(url.protocol) || url.username || url.password) {
    return el("span", { class: "faint" }, `${address} (no link: only http:// and https:// without a user are)`);
  }
  const link = el("a", { target: "_blank", rel: "noopener noreferrer" }, text || url.href);
  link.href = url.href;
  return link;
}

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  run: "M6 2a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
  start: "M3 1.5l7 4.5-7 4.5z",
  stop: "M1.5 3h9L6 10z",
  done: "M1 6.6L2.6 5l2.2 2.2L9.4 2 11 3.5 4.9 10.4z",
  failed: "M2 3.4L3.4 2 6 4.6 8.6 2 10 3.4 7.4 6 10 8.6 8.6 10 6 7.4 3.4 10 2 8.6 4.6 6z",
  killed: "M2.5 2.5h7v7h-7z",
  lost: "M1 4.8h3.6v2.4H1zM7.4 4.8H11v2.4H7.4z",
  unknown: "M6 .8L11.2 6 6 11.2.8 6zM6 3.6L3.6 6 6 8.4 8.4 6z",
  ill: "M4.8 1h2.4l-.5 6.2H5.3zM4.8 8.6h2.4V11H4.8z",
};

function sign(shape) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 12 12");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", shape);
  path.setAttribute("fill-rule", "evenodd");
  svg.append(path);
  return svg;
}

const SIGNS = Object.fromEntries(Object.entries(SHAPES).map(([kind, shape]) => [kind, sign(shape)]));

/** A state: its family's colour, its own shape and its word. */
export const badge = (kind, word) => el("span", { class: `badge ${kind}` }, SIGNS[kind].cloneNode(true), word);

/** How much of it is in use: a bar beside its numbers. */
export function share(used, total, say) {
  const text = `${say(used)} of ${say(total)}`;
  const bar = el("span", { class: "bar", "aria-hidden": "true" }, el("span"));
  bar.firstChild.style.width = `${total > 0 ? Math.min(100, (100 * used) / total) : 0}%`;
  return el("span", { class: "share", title: text }, bar, text);
}
