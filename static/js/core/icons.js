/* Icons from the page's one SVG file, whose address (with its hash) the page already holds. */

const SVG = "http://www.w3.org/2000/svg";
const file = document.querySelector("use")?.getAttribute("href").split("#")[0] ?? "/static/icons/icons.svg";

export function iconOf(name, size = 18) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon-svg");
  svg.setAttribute("width", size);
  svg.setAttribute("height", size);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${file}#${name}`);
  svg.append(use);
  return svg;
}

export function setIcon(svg, name) {
  svg.querySelector("use").setAttribute("href", `${file}#${name}`);
}
