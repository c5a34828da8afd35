"use strict";
// The latent plane: a canvas shows f(z), blended from the four nearest images of a sprite.

function startPlane(plane) {
  const data = JSON.parse(plane.querySelector("script").textContent);
  const field = plane.querySelector(".field");
  const play = plane.querySelector(".play");
  const canvas = plane.querySelector(".generated");
  const context = canvas.getContext("2d", { alpha: false });
  const image = plane.querySelector(".sprite");
  const tile = image.naturalWidth / data.side;
  canvas.width = canvas.height = tile;
  // Drawn once, or the browser might decode the picture again for every frame.
  const sprite = document.createElement("canvas");
  sprite.width = sprite.height = image.naturalWidth;
  sprite.getContext("2d").drawImage(image, 0, 0);

  const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
  const share = (x) => clamp((x + data.reach) / (2 * data.reach), 0, 1);
  const inside = (z) => z.map((x) => clamp(x, -data.reach, data.reach));
  const text = (x) => x.toFixed(2).replace("-", "−");

  function generate(z, target) {
    const column = share(z[0]) * (data.side - 1);
    const row = (1 - share(z[1])) * (data.side - 1);
    const [c, r] = [column, row].map((x) => Math.min(Math.floor(x), data.side - 2));
    const [x, y] = [column - c, row - r];
    target.globalCompositeOperation = "source-over";
    target.globalAlpha = 1;
    target.fillRect(0, 0, tile, tile);
    target.globalCompositeOperation = "lighter";
    for (const [dx, dy, weight] of [
      [0, 0, (1 - x) * (1 - y)], [1, 0, x * (1 - y)], [0, 1, (1 - x) * y], [1, 1, x * y],
    ]) {
      target.globalAlpha = weight;
      target.drawImage(sprite, (c + dx) * tile, (r + dy) * tile, tile, tile, 0, 0, tile, tile);
    }
  }

  const thumbs = data.images.map((each) => {
    const thumb = document.createElement("button");
    thumb.type = "button";
    thumb.className = "thumb";
    thumb.title = each.name;
    thumb.setAttribute("aria-label", `${each.name} at z = (${each.z.map(text).join(", ")})`);
    thumb.style.left = `${100 * share(each.z[0])}%`;
    thumb.style.top = `${100 * (1 - share(each.z[1]))}%`;
    const picture = document.createElement("img");
    picture.className = "pixels";
    picture.alt = "";
    picture.src = each.image;
    thumb.append(picture);
    thumb.addEventListener("click", () => { stop(); show(each.z); });
    field.append(thumb);
    return thumb;
  });

  let z = [0, 0];
  function show(place) {
    z = inside(place);
    generate(z, context);
    const cross = plane.querySelector(".cross");
    cross.style.left = `${100 * share(z[0])}%`;
    cross.style.top = `${100 * (1 - share(z[1]))}%`;
    const distances = data.images.map((each) => Math.hypot(each.z[0] - z[0], each.z[1] - z[1]));
    const nearest = distances.indexOf(Math.min(...distances));
    const each = data.images[nearest];
    thumbs.forEach((thumb, i) => thumb.classList.toggle("near", i === nearest));
    plane.querySelector(".place").textContent = `z = (${z.map(text).join(", ")})`;
    plane.querySelector(".nearest").textContent =
      `nearest training image: ${each.name}, ${distances[nearest].toFixed(2)} away`;
    const picture = plane.querySelector(".readout img");
    picture.src = each.image;
    picture.alt = `Training image ${each.name}`;
  }

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
      show(a.map((x, i) => x + (at % 1) * (b[i] - x)));
      playing = requestAnimationFrame(step);
    };
    playing = requestAnimationFrame(step);
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
  }
  play.addEventListener("click", () => (playing ? stop() : start()));

  // Hand and keys

  function follow(event) {
    const box = field.getBoundingClientRect();
    show([
      data.reach * (2 * (event.clientX - box.left) / box.width - 1),
      data.reach * (1 - 2 * (event.clientY - box.top) / box.height),
    ]);
  }
  field.addEventListener("pointermove", (event) => { if (!playing) follow(event); });
  field.addEventListener("pointerdown", (event) => { stop(); follow(event); });
  field.addEventListener("keydown", (event) => {
    const size = event.shiftKey ? 0.5 : 0.1;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const move = moves[event.key];
    if (!move && event.key !== "Home") return;
    event.preventDefault();
    stop();
    show(move ? z.map((x, i) => x + size * move[i]) : [0, 0]);
  });
  for (const box of plane.querySelectorAll("[data-veil]")) {
    const veil = () => { plane.querySelector(`.veil.${box.dataset.veil}`).hidden = !box.checked; };
    box.addEventListener("change", veil);
    veil();  // it may have been ticked before the script was ready
  }
  show([0, 0]);
}

for (const plane of document.querySelectorAll(".plane")) {
  plane.querySelector(".sprite").decode().then(() => startPlane(plane));
}
