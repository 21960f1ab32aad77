// Keys, wheel and drags of the click tool: see widget_events.py for what they mean.
const NATIVE = ["Enter", " ", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
const TEXT = "input:not([type=checkbox]):not([type=radio]), textarea, [contenteditable=true]";
const CONTROL = "button, select, a, summary, [role=slider], input";
const NOTCH = 100; // pixels of a mouse wheel's notch; a touch pad sends many small ones
const isCanvas = e => e.target.tagName === "CANVAS";

function stop(e) {
  e.preventDefault();
  e.stopImmediatePropagation();
}

// Movements of the photograph, place -> scale * place + (x, y) in canvas pixels. They are summed up
// until the kernel has drawn the last one, so that a slow machine is never behind the hand.
class Movement {
  constructor(model, signal) {
    this.model = model;
    this.sum = null;
    this.busy = false;
    const done = () => { this.busy = false; this.flush(); };
    model.on("msg:custom", done);
    signal.addEventListener("abort", () => model.off("msg:custom", done));
  }
  add(scale, x, y) {
    const [s, a, b] = this.sum ?? [1, 0, 0];
    this.sum = [scale * s, scale * a + x, scale * b + y];
    this.flush();
  }
  flush() {
    if (this.busy || !this.sum) return;
    this.busy = true;
    this.model.send({ move: this.sum });
    this.sum = null;
  }
  // whether there is room for one more event that the canvas itself reports
  free() {
    if (this.busy) return false;
    this.busy = true;
    this.model.send({});
    return true;
  }
}

function catchKeys(root, model, signal) {
  const keys = new Set(model.get("shortcuts"));
  const within = (e, selector) => e.target.closest && e.target.closest(selector);
  const send = (e, key) => {
    model.send({ key, shift: e.shiftKey });
    e.preventDefault();
    e.stopPropagation();
  };
  root.tabIndex = 0;
  root.addEventListener("keydown", e => {
    if (within(e, TEXT)) return;
    if (e.ctrlKey || e.metaKey || e.altKey) {
      const letter = e.key.toLowerCase();
      if (!e.altKey && letter === "z") send(e, e.shiftKey ? "Redo" : "Undo");
      else if (!e.altKey && letter === "y") send(e, "Redo");
      return; // every other one is the browser's or JupyterLab's
    }
    const native = within(e, CONTROL) && NATIVE.includes(e.key);
    const key = e.key.length === 1 ? e.key.toLowerCase() : e.key;
    if (!native && keys.has(key)) send(e, key);
    else if (native || e.key.length === 1) e.stopPropagation(); // not for the command mode
  }, { signal });
  // on a press ipycanvas focuses its canvas, for which the browser scrolls it into sight: the place
  // of the press would be read after that jump
  root.addEventListener("pointerdown", e => {
    if (isCanvas(e)) e.target.focus = () => root.focus({ preventScroll: true });
  }, { signal, capture: true });
  // ipycanvas swallows every key of a focused canvas, so the tool takes the focus itself
  root.addEventListener("focusin", e => {
    if (!isCanvas(e)) return;
    e.target.tabIndex = -1;
    root.focus({ preventScroll: true });
  }, { signal });
}

function catchMovements(root, model, signal) {
  const movement = new Movement(model, signal);
  const zoomOf = canvas => {
    const r = canvas.getBoundingClientRect();
    return [canvas.width / r.width, canvas.height / r.height, r];
  };
  let held = null; // the canvas and the last place of the mouse that pushes the photograph
  root.addEventListener("wheel", e => {
    if (!isCanvas(e)) return;
    if (!e.ctrlKey && !root.matches(":focus-within")) {
      e.stopImmediatePropagation(); // not for ipycanvas either: who scrolls by is not caught
      return;
    }
    stop(e);
    const [across, down, r] = zoomOf(e.target);
    const notches = Math.max(-1, Math.min(1, e.deltaY / (e.ctrlKey ? NOTCH / 5 : NOTCH)));
    const scale = 1.25 ** -notches; // with Ctrl: two fingers that spread on a touch pad
    const x = (e.clientX - r.left) * across, y = (e.clientY - r.top) * down;
    movement.add(scale, x - scale * x, y - scale * y);
  }, { signal, capture: true, passive: false });
  root.addEventListener("mousedown", e => {
    if (!isCanvas(e) || (e.button !== 1 && !root.classList.contains("click-moving"))) return;
    stop(e);
    root.focus({ preventScroll: true });
    held = [e.target, e.clientX, e.clientY];
  }, { signal, capture: true });
  document.addEventListener("mousemove", e => {
    if (!held) return;
    if (!e.buttons) return void (held = null);
    const [canvas, x, y] = held, [across, down] = zoomOf(canvas);
    held = [canvas, e.clientX, e.clientY];
    movement.add(1, (e.clientX - x) * across, (e.clientY - y) * down);
  }, { signal, capture: true });
  document.addEventListener("mouseup", () => { held = null; }, { signal, capture: true });
  // ipycanvas reports every move of the mouse, and a click would have to wait for them all
  root.addEventListener("mousemove", e => {
    if (isCanvas(e)) e.stopImmediatePropagation();
  }, { signal, capture: true });
  root.addEventListener("touchmove", e => {
    if (isCanvas(e) && !movement.free()) stop(e);
  }, { signal, capture: true, passive: false });
}

function render({ model, el }) {
  const ending = new AbortController();
  el.style.display = "none";
  const find = () => {
    const root = el.closest(".click-tool");
    if (root) {
      catchKeys(root, model, ending.signal);
      catchMovements(root, model, ending.signal);
    } else if (!ending.signal.aborted) requestAnimationFrame(find);
  };
  find();
  return () => ending.abort();
}

export default { render };
