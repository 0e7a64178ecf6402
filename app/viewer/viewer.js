// Two pictures under a slider, and the same place of all pictures at one zoom.
// Streamlit calls the function below whenever the page runs; listeners are added once.
const STEP = 1.5;
const MOST = 32;
const PAN = 0.1; // of what is seen, an arrow key

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".viewer");
  root.view ??= start(root);
  root.view.fill(data);
}

function start(root) {
  const find = (selector) => root.querySelector(selector);
  const stage = find(".compare .window");
  const slider = find("input");
  let zoom = 1;
  let middle = { x: 0.5, y: 0.5 }; // of the picture, in the middle of each window
  let size = { width: 1, height: 1 };
  let shown = new Map(); // what `panel` made, by all that it was given

  function draw() {
    zoom = Math.min(MOST, Math.max(1, zoom));
    for (const axis of ["x", "y"]) {
      middle[axis] = Math.min(1 - 0.5 / zoom, Math.max(0.5 / zoom, middle[axis]));
      root.style.setProperty(`--${axis}`, 0.5 - middle[axis] * zoom);
    }
    root.style.setProperty("--zoom", zoom);
    root.style.setProperty("--cut", `${slider.value}%`);
    root.classList.toggle("zoomed", zoom > 1);
    root.classList.toggle("pixels", (zoom * stage.clientWidth) / size.width > 2);
    find("output").value = `${Math.round(zoom * 100)}%`;
  }

  function to(next, x = middle.x, y = middle.y) {
    zoom = next;
    middle = { x, y };
    draw();
  }

  const actions = {
    in: () => to(zoom * STEP),
    out: () => to(zoom / STEP),
    fit: () => to(1),
    pixels: () => to(size.width / stage.clientWidth),
  };
  const pan = (x, y) => to(zoom, middle.x + (x * PAN) / zoom, middle.y + (y * PAN) / zoom);
  const keys = {
    "+": actions.in,
    "=": actions.in,
    "-": actions.out,
    "0": actions.fit,
    ArrowLeft: () => pan(-1, 0),
    ArrowRight: () => pan(1, 0),
    ArrowUp: () => pan(0, -1),
    ArrowDown: () => pan(0, 1),
  };

  function listen(window) {
    window.addEventListener("keydown", (event) => {
      const act = keys[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
    window.addEventListener("pointerdown", (event) => window.setPointerCapture(event.pointerId));
    window.addEventListener("pointermove", (event) => {
      if (!window.hasPointerCapture(event.pointerId) || zoom === 1) return;
      const x = middle.x - event.movementX / window.clientWidth / zoom;
      to(zoom, x, middle.y - event.movementY / window.clientHeight / zoom);
    });
    window.addEventListener("dblclick", (event) => {
      const box = window.getBoundingClientRect();
      const at = (place, start, length, old) => old + ((place - start) / length - 0.5) / zoom;
      to(
        zoom * STEP * STEP,
        at(event.clientX, box.left, box.width, middle.x),
        at(event.clientY, box.top, box.height, middle.y),
      );
    });
  }

  listen(stage);
  slider.addEventListener("input", draw);
  for (const button of root.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", actions[button.dataset.zoom]);
  }
  new ResizeObserver(draw).observe(stage);

  function panel({ name, about, source }) {
    const figure = document.createElement("figure");
    const window = document.createElement("div");
    const image = document.createElement("img");
    const caption = document.createElement("figcaption");
    const title = document.createElement("b");
    window.className = "window";
    window.tabIndex = 0;
    window.role = "group";
    window.ariaLabel = `${name}: zoom and move with keys`;
    window.style.aspectRatio = `${size.width} / ${size.height}`;
    if (source) image.src = source;
    image.alt = `${name}. ${about}`;
    title.textContent = name;
    caption.append(title, document.createElement("br"), about);
    window.append(image);
    figure.append(window, caption);
    listen(window);
    return figure;
  }

  function fill(data) {
    const [before, after] = data.panels;
    const key = (each) => JSON.stringify([data.width, data.height, each]);
    const known = (each) => shown.has(key(each));
    if (data.panels.length === shown.size && data.panels.every(known)) return;
    const other = !known(before) || !known(after);
    size = { width: data.width, height: data.height };
    const there = [...shown.values()];
    const figures = data.panels.map((each) => shown.get(key(each)) ?? panel(each));
    shown = new Map(data.panels.map((each, index) => [key(each), figures[index]]));
    if (!other && figures.length === there.length) {
      // A picture has come to those that are there, which keep their focus, and are dragged on.
      figures.forEach((each, index) => each === there[index] || there[index].replaceWith(each));
      return;
    }
    stage.style.aspectRatio = `${size.width} / ${size.height}`;
    stage.ariaLabel = `${before.name} and ${after.name}: zoom and move with keys`;
    find(".before").src = before.source;
    find(".after").src = after.source;
    find(".before").alt = before.name;
    find(".after").alt = after.name;
    find(".before-name").textContent = before.name;
    find(".after-name").textContent = after.name;
    find(".panels").replaceChildren(...figures);
    to(1);
  }

  return { fill };
}
