"use strict";
// Axes: round numbers from three to six, however much or little a range spans, and their labels.

const SVG = "http://www.w3.org/2000/svg";
const MOST = 6;

function element(parent, name, attributes, text = "") {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  parent.append(node);
  return node;
}

function shortened(x, digits) {
  const format = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: digits });
  const size = Math.abs(x);  // beyond trillions and thousandths, powers of ten are shorter
  const text = size && (size < 1e-3 || size >= 1e15)
    ? x.toExponential(digits - 1).replace(/\.?0*e\+?/, "e") : format.format(x + 0);  // no −0
  return text.replaceAll("-", "−");
}
const short = (x) => shortened(x, 4);  // 12.5M

// The finest even steps that are few enough: one twice as fine would be too many, so three at least.
function linearTicks(low, high, whole = false) {
  const unit = 10 ** Math.floor(Math.log10(high - low) - 1);
  for (const factor of [1, 2, whole ? 4 : 2.5, 5, 10, 20, 25, 50]) {
    const size = factor * unit;
    const [first, last] = [Math.ceil(low / size - 1e-9), Math.floor(high / size + 1e-9)];
    if (last - first < MOST && (!whole || size >= 1)) {
      return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * size);
    }
  }
  return [];
}

// Powers of ten; of less than three, 1, 2 and 5 or 1 and 3 times these; within one, even steps.
function logTicks(low, high) {
  const [from, to] = [Math.log10(low), Math.log10(high)];
  const within = (x) => x >= low && x <= high;
  const times = (factors) => {
    const ticks = [];
    for (let power = Math.floor(from); power <= to; power += 1) {
      ticks.push(...factors.map((factor) => Number(`${factor}e${power}`)));
    }
    return ticks.filter(within);
  };
  if (Math.floor(to) - Math.ceil(from) >= 2) {
    return linearTicks(from, to, true).map((power) => Number(`1e${power}`)).filter(within);
  }
  const fits = [[1, 2, 5], [1, 3]].map(times).find((ticks) => ticks.length > 2 && ticks.length <= MOST);
  return fits ?? linearTicks(low, high);
}

// With as many digits as tell them apart.
function tickLabels(ticks) {
  const close = Math.abs(ticks[1] - ticks[0]) / 100;
  const digits = [3, 4, 5, 6, 8, 10, 12].find(
    (count) => ticks.every((x) => Math.abs(Number(x.toPrecision(count)) - x) < close)) ?? 15;
  return ticks.map((x) => shortened(x, digits));
}
