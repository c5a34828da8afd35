// A film: frames that lie one below another in a picture, a slider over them, and Play.

function startFilm(film) {
  const { labels, milliseconds } = JSON.parse(film.querySelector("script").textContent);
  const canvas = film.querySelector("canvas");
  const slider = film.querySelector("input");
  const button = film.querySelector("button");
  const sprite = film.querySelector(".sprite");
  const context = canvas.getContext("2d");

  function show() {
    const i = Number(slider.value);
    context.clearRect(0, 0, canvas.width, canvas.height);  // frames have gaps
    context.drawImage(
      sprite, 0, i * canvas.height, canvas.width, canvas.height,
      0, 0, canvas.width, canvas.height,
    );
    film.querySelector("output").textContent = labels[i];
    slider.setAttribute("aria-valuetext", labels[i]);
  }

  let playing = 0;
  function stop() {
    clearInterval(playing);
    playing = 0;
    button.textContent = "Play";
    button.setAttribute("aria-pressed", "false");
  }
  function step() {
    slider.value = (Number(slider.value) + 1) % labels.length;
    show();
  }
  button.addEventListener("click", () => {
    if (playing) return stop();
    step();
    playing = setInterval(step, milliseconds);
    button.textContent = "Pause";
    button.setAttribute("aria-pressed", "true");
  });
  slider.addEventListener("input", () => { stop(); show(); });
  // A stop of the tab key where there is something to scroll.
  const frame = film.querySelector(".frame");
  new ResizeObserver(() => {
    frame.tabIndex = frame.scrollWidth > frame.clientWidth ? 0 : -1;
  }).observe(frame);
  show();
}

for (const film of document.querySelectorAll(".film")) {
  film.querySelector(".sprite").decode().then(() => startFilm(film));
}
