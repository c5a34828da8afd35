// Planes of the latent space: a canvas shows f(z), blended from the nearest images of a sprite.

const BETWEEN = 4;  // standard deviations: a view between that in detail and the widest
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const coordinate = (x) => x.toFixed(2).replace("-", "−");
const axisName = (axis) => `z${[...String(axis + 1)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]).join("")}`;

// A function that draws f(z) on a canvas: z lies on the plane of the given number, of which the
// sprites hold all one below another.
function startGenerator(canvas, images, data) {
  const context = canvas.getContext("2d", { alpha: false });
  const rows = data.axes.length > 1;
  const sprites = data.views.map(({ side, reach }, i) => {
    // Drawn once, or the browser might decode the picture again for every frame.
    const sheet = document.createElement("canvas");
    [sheet.width, sheet.height] = [images[i].naturalWidth, images[i].naturalHeight];
    sheet.getContext("2d").drawImage(images[i], 0, 0);
    return { side, reach, sheet, tile: sheet.width / side };
  });
  canvas.width = canvas.height = sprites[0].tile;
  return (z, plane) => {
    // The finest that reaches so far.
    const far = Math.max(...z.map(Math.abs));
    const { side, reach, sheet, tile } = sprites.find((each) => far <= each.reach) ?? sprites.at(-1);
    const grid = (x) => clamp((x + reach) / (2 * reach), 0, 1) * (side - 1);
    const column = grid(z[0]);
    const row = rows ? grid(-z[1]) : 0;
    const [c, r] = [column, row].map((x) => Math.min(Math.floor(x), side - 2));
    const [x, y] = [column - c, row - r];
    const top = plane * (rows ? side : 1) + r;
    context.globalCompositeOperation = "source-over";
    context.globalAlpha = 1;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = "lighter";
    for (const [dx, dy, weight] of [
      [0, 0, (1 - x) * (1 - y)], [1, 0, x * (1 - y)], [0, 1, (1 - x) * y], [1, 1, x * y],
    ]) {
      if (!weight) continue;
      context.globalAlpha = weight;
      context.drawImage(
        sheet, (c + dx) * tile, (top + dy) * tile, tile, tile, 0, 0, canvas.width, canvas.height,
      );
    }
  };
}

// Thumbnails are one stop of the tab key; arrow keys move on to the nearest in their direction.
function startThumbs(field, images, go) {
  const thumbs = images.map((each) => {
    const thumb = document.createElement("button");
    thumb.type = "button";
    thumb.className = "thumb";
    thumb.title = each.name;
    thumb.tabIndex = -1;
    thumb.setAttribute("aria-label", `${each.name} at z = (${each.z.map(coordinate).join(", ")})`);
    const picture = document.createElement("img");
    picture.className = "pixels";
    picture.alt = "";
    picture.src = each.image;
    thumb.append(picture);
    thumb.addEventListener("click", () => go(each));
    thumb.addEventListener("focus", () => stopAt(thumb));
    field.append(thumb);
    return thumb;
  });
  const shown = () => thumbs.filter((thumb) => !thumb.hidden);
  function stopAt(stop) {
    for (const thumb of thumbs) thumb.tabIndex = thumb === stop ? 0 : -1;
  }
  function towards(from, [dx, dy]) {
    const here = [from.offsetLeft, from.offsetTop];
    const reached = shown().filter((thumb) => thumb !== from).map((thumb) => {
      const [x, y] = [thumb.offsetLeft - here[0], thumb.offsetTop - here[1]];
      const [along, aside] = [x * dx + y * dy, Math.abs(x * dy) + Math.abs(y * dx)];
      return { thumb, along, cost: along + 2 * aside };
    }).filter(({ along }) => along > 0);
    return reached.sort((a, b) => a.cost - b.cost)[0]?.thumb;
  }
  field.addEventListener("keydown", (event) => {
    const from = event.target.closest(".thumb");
    const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!from || !(event.key in directions || event.key === "Home" || event.key === "End")) return;
    event.preventDefault();
    event.stopImmediatePropagation();  // the plane moves by these keys as well
    const to = { Home: shown()[0], End: shown().at(-1) };
    (event.key in to ? to[event.key] : towards(from, directions[event.key]))?.focus();
  });
  return {
    thumbs,
    keepStop() {
      if (!shown().some((thumb) => thumb.tabIndex === 0)) stopAt(shown()[0]);
    },
  };
}

function startPlane(plane) {
  const data = JSON.parse(plane.querySelector("script").textContent);
  const find = (selector) => plane.querySelector(selector);
  const [field, play, map] = [find(".field"), find(".play"), find(".map")];
  const generate = startGenerator(find(".generated"), plane.querySelectorAll(".sprite"), data);
  const widest = data.views.at(-1).reach;
  const zooms = [...new Set([data.views[0].reach, BETWEEN, widest])]
    .filter((reach) => reach >= data.views[0].reach && reach <= widest).sort((a, b) => a - b);
  const middle = data.axes.map(() => 0);
  let axes = [...data.planes[0]];  // those across and up, as places in data.axes
  let z = middle;
  let view = zooms[0];

  const share = (x) => clamp((x + view) / (2 * view), 0, 1);
  const onPlane = (place) => axes.map((axis) => place[axis]);
  function put(node, place) {
    const [x, y] = onPlane(place);
    node.style.left = `${100 * share(x)}%`;
    node.style.top = `${100 * share(y === undefined ? 0 : -y)}%`;
  }
  // Only the two axes that are shown are not 0.
  const inside = (place, reach) =>
    place.map((x, axis) => (axes.includes(axis) ? clamp(x, -reach, reach) : 0));

  const { thumbs, keepStop } = startThumbs(field, data.images, (each) => { stop(); go(each.z); });

  function show(place) {
    z = inside(place, view);
    // A plane lies in the sprite once: with its axes swapped it is the same.
    const number = data.planes.findIndex((each) => each.every((axis) => axes.includes(axis)));
    generate(data.planes[number].map((axis) => z[axis]), number);
    put(find(".cross"), z);
    const distances = data.images.map((each) =>
      Math.hypot(each.off, ...each.z.map((x, axis) => x - z[axis])));
    const nearest = distances.indexOf(Math.min(...distances));
    const each = data.images[nearest];
    thumbs.forEach((thumb, i) => thumb.classList.toggle("near", i === nearest));
    const names = data.axes.length > 2 ? `(${axes.map((axis) => axisName(data.axes[axis])).join(", ")})` : "z";
    find(".place").textContent = `${names} = (${onPlane(z).map(coordinate).join(", ")})`;
    find(".nearest").textContent =
      `nearest training image: ${each.name}, ${distances[nearest].toFixed(2)} away`;
    const picture = find(".readout img");
    picture.src = each.image;
    picture.alt = `Training image ${each.name}`;
  }

  // Show a place wherever it lies, zooming out if need be.
  function go(place) {
    const far = Math.max(...onPlane(place).map(Math.abs));
    if (far > view) zoom(zooms.find((reach) => far <= reach) ?? widest);
    show(place);
  }

  // What is seen

  function arrange() {
    thumbs.forEach((thumb, i) => {
      const far = Math.max(...onPlane(data.images[i].z).map(Math.abs));
      thumb.hidden = far > view && view < widest;
      put(thumb, data.images[i].z);
    });
    keepStop();
    field.style.setProperty("--out", view / zooms[0]);  // farther out, images are smaller
    const veils = [[".veil.prior", widest], [".veil.posterior", data.views[0].reach]];
    for (const [selector, reach] of veils) {
      if (find(selector)) find(selector).style.setProperty("--size", reach / view);
    }
    drawScale();
  }
  function drawScale() {
    const svg = find(".scale");
    svg.replaceChildren();
    const [width, height] = [map.clientWidth, map.clientHeight];
    if (!width) return;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const [left, top] = [field.offsetLeft, field.offsetTop];
    const [right, bottom] = [left + field.offsetWidth, top + field.offsetHeight];
    const ticks = linearTicks(-view, view);
    const labels = tickLabels(ticks);
    const [across, up] = axes.map((axis) => axisName(data.axes[axis]));
    ticks.forEach((tick, i) => {
      const x = left + (right - left) * share(tick);
      element(svg, "line", { x1: x, x2: x, y1: top, y2: bottom });
      element(svg, "text", { class: "across", x, y: bottom + 17, "text-anchor": "middle" }, labels[i]);
      if (!up) return;
      const y = top + (bottom - top) * share(-tick);
      element(svg, "line", { x1: left, x2: right, y1: y, y2: y });
      element(svg, "text", { class: "up", x: left - 6, y: y + 4, "text-anchor": "end" }, labels[i]);
    });
    element(svg, "text", { class: "unit", x: right, y: bottom + 34, "text-anchor": "end" }, across);
    if (up) element(svg, "text", { class: "unit", x: 0, y: top - 6 }, up);
  }
  function zoom(reach) {
    view = reach;
    for (const [selector, end] of [[".zoom .in", zooms[0]], [".zoom .out", widest]]) {
      find(selector).setAttribute("aria-disabled", String(view === end));
    }
    find(".zoom output").textContent = `to ±${view}`;
    arrange();
    show(z);
  }
  const zoomBy = (steps) =>
    zoom(zooms[clamp(zooms.indexOf(view) + steps, 0, zooms.length - 1)]);
  find(".zoom .out").addEventListener("click", () => zoomBy(1));
  find(".zoom .in").addEventListener("click", () => zoomBy(-1));
  find(".zoom").hidden = zooms.length < 2;

  // Which axes

  const sliders = [...plane.querySelectorAll("[data-axis]")];
  function name(slider, i) {
    const text = axisName(data.axes[axes[i]]);
    slider.value = axes[i];
    slider.setAttribute("aria-valuetext", text);
    slider.nextElementSibling.textContent = text;
  }
  sliders.forEach((slider, i) => {
    slider.addEventListener("input", () => {
      stop();
      const chosen = Number(slider.value);
      // An axis that the other one has is left to it in exchange.
      if (chosen === axes[1 - i]) axes[1 - i] = axes[i];
      axes[i] = chosen;
      sliders.forEach(name);
      arrange();
      show(z);
    });
    name(slider, i);
  });

  // Play

  let playing = 0;
  function stop() {
    cancelAnimationFrame(playing);
    playing = 0;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  }
  function start() {
    const began = performance.now();
    const walk = data.walk;
    const step = (now) => {
      const at = (Math.max(now - began, 0) / 90) % walk.length;  // 90 ms from place to place
      const [a, b] = [walk[Math.floor(at)], walk[(Math.floor(at) + 1) % walk.length]];
      go(a.map((x, i) => x + (at % 1) * (b[i] - x)));
      playing = requestAnimationFrame(step);
    };
    playing = requestAnimationFrame(step);
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
  }
  play.addEventListener("click", () => (playing ? stop() : start()));

  // Hand and keys

  function move([x, y]) {
    const place = [...middle];
    place[axes[0]] = x;
    if (axes.length > 1) place[axes[1]] = y;
    show(place);
  }
  function follow(event) {
    const box = field.getBoundingClientRect();
    move([
      view * (2 * (event.clientX - box.left) / box.width - 1),
      view * (1 - 2 * (event.clientY - box.top) / box.height),
    ]);
  }
  field.addEventListener("pointermove", (event) => { if (!playing) follow(event); });
  field.addEventListener("pointerdown", (event) => { stop(); follow(event); });
  field.addEventListener("keydown", (event) => {
    const size = event.shiftKey ? 0.5 : 0.1;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const steps = { "-": 1, "−": 1, "+": -1, "=": -1 };
    const way = moves[event.key];
    if (!way && event.key !== "Home" && !(event.key in steps)) return;
    event.preventDefault();
    stop();
    if (event.key in steps) return zoomBy(steps[event.key]);
    move(way ? onPlane(z).map((x, i) => x + size * way[i]) : [0, 0]);
  });
  for (const box of plane.querySelectorAll("[data-veil]")) {
    const veil = () => { find(`.veil.${box.dataset.veil}`).hidden = !box.checked; };
    box.addEventListener("change", veil);
    veil();  // it may have been ticked before the script was ready
  }
  zoom(view);
  new ResizeObserver(drawScale).observe(map);
}

for (const plane of document.querySelectorAll(".plane")) {
  const decoded = [...plane.querySelectorAll(".sprite")].map((sprite) => sprite.decode());
  Promise.all(decoded).then(() => startPlane(plane));
}
