// A chart of one number by iteration, which tells its value under the pointer or by arrow keys.

const SVG = "http://www.w3.org/2000/svg";

function element(parent, name, attributes, text = "") {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  parent.append(node);
  return node;
}

const format = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
const short = (x) => format.format(x + 0).replace("-", "−");  // 12.5M; no −0

// About five round numbers from low to high.
function linearTicks(low, high) {
  const rough = (high - low) / 4 || Math.abs(high) || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const size = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough);
  const ticks = [];
  for (let x = Math.ceil(low / size) * size; x <= high + size * 1e-6; x += size) ticks.push(x);
  return ticks;
}

// 1, 2 and 5 times powers of ten; if that is too many, the powers alone.
function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) {
    ticks.push(...[1, 2, 5].map((factor) => factor * 10 ** power));
  }
  const shown = ticks.filter((x) => x >= low && x <= high);
  return shown.length > 7 ? shown.filter((x) => Math.log10(x) % 1 === 0) : shown;
}

function startChart(chart) {
  const data = JSON.parse(chart.querySelector("script").textContent);
  const drawing = chart.querySelector(".drawing");
  const finite = data.values.filter((value) => value !== null);
  if (!finite.length) {
    drawing.textContent = "No finite value was recorded.";
    return;
  }
  let [low, high] = [Math.min(...finite), Math.max(...finite)];
  const log = data.log && low > 0;
  if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  const scale = log ? Math.log : (x) => x;
  const [first, last] = [data.iterations[0], data.iterations.at(-1)];
  let at = data.values.length - 1;
  let place = () => {};

  function tell() {
    const value = data.values[at];
    const words = value === null ? "not finite" : short(value);
    const sentence = `iteration ${data.iterations[at]}: ${words}`;
    chart.querySelector(".value").textContent = sentence;
    drawing.setAttribute("aria-valuenow", data.iterations[at]);
    drawing.setAttribute("aria-valuetext", sentence);
    place();
  }

  let x = () => 0;
  function draw() {
    const [width, height] = [drawing.clientWidth, drawing.clientHeight];
    const [left, right, top, bottom] = [60, width - 8, 8, height - 22];
    x = (iteration) => left + (right - left) * (last > first ? (iteration - first) / (last - first) : 0.5);
    const y = (value) =>
      bottom - (bottom - top) * (scale(value) - scale(low)) / (scale(high) - scale(low));
    drawing.replaceChildren();
    const svg = element(drawing, "svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    for (const tick of log ? logTicks(low, high) : linearTicks(low, high)) {
      element(svg, "line", { x1: left, x2: right, y1: y(tick), y2: y(tick) });
      element(svg, "text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, short(tick));
    }
    element(svg, "text", { x: left, y: height - 4 }, String(first));
    element(svg, "text", { x: right, y: height - 4, "text-anchor": "end" }, `iteration ${last}`);
    let pen = "M";
    let path = "";
    data.values.forEach((value, i) => {
      if (value !== null) path += `${pen}${x(data.iterations[i]).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = value === null ? "M" : "L";
    });
    element(svg, "path", { d: path });
    const marker = element(svg, "line", { class: "marker", y1: top, y2: bottom });
    const dot = element(svg, "circle", { r: 4 });
    place = () => {
      const value = data.values[at];
      for (const end of ["x1", "x2"]) marker.setAttribute(end, x(data.iterations[at]));
      dot.setAttribute("cx", x(data.iterations[at]));
      dot.setAttribute("cy", y(value ?? low));
      dot.style.display = value === null ? "none" : "";
    };
    tell();
  }

  drawing.addEventListener("pointermove", (event) => {
    const from = event.clientX - drawing.getBoundingClientRect().left;
    const distances = data.iterations.map((iteration) => Math.abs(x(iteration) - from));
    at = distances.indexOf(Math.min(...distances));
    tell();
  });
  drawing.addEventListener("keydown", (event) => {
    const end = data.values.length - 1;
    const page = Math.max(1, Math.round(end / 10));
    const moves = {
      ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1,
      PageDown: at - page, PageUp: at + page, Home: 0, End: end,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    at = Math.min(Math.max(moves[event.key], 0), end);
    tell();
  });
  new ResizeObserver(draw).observe(drawing);
}

document.querySelectorAll(".chart").forEach(startChart);
